/** Every command explains itself, and none exists that this table does not know. */
import assert from "node:assert/strict"
import { describe, test } from "vitest"
import { ROLES } from "../../src/domain/cluster.ts"
import { NODE_FAULTS } from "../../src/kms-node/fault.ts"
import { portcullis } from "../support/cli.ts"

const COMMON = ["--json", "--settings"]
const CHAIN = [...COMMON, "--gateway", "--rpc"]
const RAISE = [...CHAIN, "--key-file", "--deadline", "--wait", "--timeout"]

const COMMANDS: Readonly<Record<string, ReadonlyArray<string>>> = {
  dev: ["--requests", "--exit", "--json", "--scheme"],
  gateway: ["--roles", ...ROLES, "worker:<step>", ...COMMON],
  "kms-node": ["--fault", ...NODE_FAULTS, ...COMMON],
  encrypt: [...CHAIN, "--value-file", "--store", "--key-file", "--owner", "--register", "--allow-public", "--allow"],
  doctor: COMMON,
  deploy: [...COMMON, "--committee", "--out", "--rpc", "--key-file"],
  verify: [...COMMON, "--blocks", "--newest", "--kms-log", "--every"],
  "request public": ["<handle...>", ...RAISE, "--callback-gas"],
  "request user": ["<handle...>", ...RAISE, "--transport-file", "--account"],
  "request open": ["<id>", ...CHAIN, "--transport-file", "--store", "--value-file", "--timeout"],
  "request watch": ["<id>", ...CHAIN, "--timeout"],
  "request show": ["<id>", ...COMMON],
  "request list": [...COMMON, "--state", "--limit"],
  "request cancel": ["<id>", ...COMMON, "--why"],
  "request redrive": ["<id>", ...COMMON, "--why"],
  lanes: [...COMMON, "--window"],
  "parked list": [...COMMON, "--subject", "--limit"],
  "parked show": ["<id>", ...COMMON],
  "parked redrive": ["[id]", ...COMMON, "--all", "--subject", "--why"],
  "parked drop": ["<id>", ...COMMON, "--why"],
  "cluster status": COMMON,
  "cluster drain": ["<node>", ...COMMON, "--why"],
  "cluster pause": ["<what>", ...COMMON, "--why"],
  "cluster resume": ["<what>", ...COMMON, "--why"],
  "cluster reconcile": [...COMMON, "--why", "--dry-run"],
  "keys deal": [...COMMON, "--directory", "--nodes", "--threshold", "--endpoints", "--scheme", "--epoch"],
  "keys certificates": [...COMMON, "--directory"],
  "evidence verify": ["<file>", ...COMMON, "--rpc", "--deployment", "--offline"],
  "evidence list": [...COMMON, "--limit"],
  "evidence export": ["<request>", "<node>", ...COMMON, "--out"]
}
const GROUPS = [...new Set(Object.keys(COMMANDS).flatMap((name) => (name.includes(" ") ? [name.split(" ")[0] ?? ""] : [])))]

/** The names under "Commands:" of a help page. */
const commandsIn = (help: string): ReadonlyArray<string> =>
  [...(help.split("Commands:\n")[1] ?? "").matchAll(/^ {2}([a-z-]+)/gm)].map((match) => match[1] ?? "").filter((name) => name !== "help")

describe("portcullis --help", () => {
  for (const [name, mentioned] of Object.entries(COMMANDS)) {
    test.concurrent(`${name} says what it does and what can be said to it`, async () => {
      const { code, output, errors } = await portcullis([...name.split(" "), "--help"])
      assert.equal(code, 0)
      assert.equal(errors, "")
      assert.match(output, new RegExp(`^Usage: portcullis ${name} `))
      const missing = mentioned.filter((word) => !output.includes(word))
      assert.deepEqual(missing, [])
    })
  }

  test("knows no command that is missing from this table", async () => {
    const top = commandsIn((await portcullis(["--help"])).output)
    const below = await Promise.all(GROUPS.map(async (group) => commandsIn((await portcullis([group, "--help"])).output).map((name) => `${group} ${name}`)))
    assert.deepEqual([...top.filter((name) => !GROUPS.includes(name)), ...below.flat()].toSorted(), Object.keys(COMMANDS).toSorted())
  })

  test("--version is the version of the package", async () => {
    const { code, output } = await portcullis(["--version"])
    assert.equal(code, 0)
    assert.match(output, /^\d+\.\d+\.\d+\n$/)
  })

  test("no command at all is wrong usage, and shows what there is", async () => {
    const { code, errors } = await portcullis([])
    assert.equal(code, 2)
    assert.match(errors, /Usage: portcullis/)
  })
})
