/** Asked wrongly, a command does nothing, ends with 2 (1 where the question was right and the answer is no), and says in one sentence why. */
import assert from "node:assert/strict"
import { createServer } from "node:http"
import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, test } from "vitest"
import { portcullis } from "../support/cli.ts"

const ID = `0x${"ab".repeat(32)}`
const ADDRESS = `0x${"cd".repeat(20)}`
const PRIVATE_KEY = `0x${"7e".repeat(32)}`
/** Nothing listens on the discard port. */
const NOBODY = "http://127.0.0.1:9"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "portcullis-cli-"))
  await writeFile(join(folder, "open-key"), `${PRIVATE_KEY}\n`, { mode: 0o644 })
  await writeFile(join(folder, "no-key"), "correct horse battery staple\n", { mode: 0o600 })
  await writeFile(join(folder, "key"), `${PRIVATE_KEY}\n`, { mode: 0o600 })
  await writeFile(join(folder, "not-json"), "{", { mode: 0o600 })
  await writeFile(join(folder, "not-evidence"), `{"version":1}`, { mode: 0o600 })
  await writeFile(join(folder, "database-url"), "postgres://portcullis:hunter2hunter2@127.0.0.1:9/portcullis", { mode: 0o600 })
  await writeFile(join(folder, "not-a-url"), "hunter2hunter2", { mode: 0o600 })
  await chmod(join(folder, "open-key"), 0o644)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

interface Case {
  readonly words: string
  readonly says: RegExp
  readonly code?: 1 | 2
  readonly settings?: Readonly<Record<string, string>>
}

const deal = (rest: string): string => `keys deal --directory F/new --nodes 3 --threshold 2 --endpoints a:1,b:2,c:3 ${rest}`
const onChain = `--rpc ${NOBODY} --gateway ${ADDRESS}`

/** `F` stands for the folder of files above. */
const CASES: ReadonlyArray<Case> = [
  { words: "decrypt", says: /unknown command 'decrypt'/ },
  { words: "request", says: /Usage: portcullis request/ },
  { words: "request raise", says: /unknown command 'raise'/ },
  { words: "requets list", says: /Did you mean request\?/ },
  { words: "dev --requests none", says: /--requests .* It takes a whole number from 1 to 10000/ },
  { words: "dev --requests 1e3", says: /It takes a whole number/ },
  { words: "dev --scheme ed25519", says: /Allowed choices are bls, quorum/ },
  { words: "kms-node --fault sulk", says: /--fault is one of .*wrong-share|PORTCULLIS_KMS_DIR is missing/ },
  { words: "gateway", says: /6 settings are not usable/ },
  { words: "gateway --json", says: /^\{"error":\{"tag":"SettingsRejected",.*"problems":\[/ },
  { words: "gateway --roles king", says: /PORTCULLIS_ROLES is not usable/ },
  { words: "gateway --roles listener,worker:acl-cheked,sendr", says: /PORTCULLIS_ROLES is not usable: .* did you mean worker:acl-checked, sender\?/ },
  { words: "gateway --roles worker:submitted", says: /the step submitted is done by the role sender/ },
  { words: "gateway --settings F/nowhere", says: /settings file .* cannot be read/ },
  { words: "gateway", settings: { PORTCULLIS_RPC_ULR: "x" }, says: /PORTCULLIS_RPC_ULR is not a setting; did you mean PORTCULLIS_RPC_URL\?/ },
  { words: "deploy --committee F/key --out F/new.json", says: /which chain\?/ },
  { words: `deploy --committee F/key --out F/new.json --rpc ${NOBODY}`, says: /a transaction needs an account/ },
  { words: `deploy --committee F/not-json --out F/new.json --rpc ${NOBODY} --key-file F/key`, says: /--committee names a file that is not JSON/ },
  { words: `deploy --committee F/not-evidence --out F/new.json --rpc ${NOBODY} --key-file F/key`, says: /--committee must name a committee record/ },
  { words: "verify", says: /3 things are not usable/ },
  { words: "verify --kms-log answers.jsonl", says: /--kms-log .* It takes node=file/ },
  { words: "verify --kms-log 0=answers.jsonl", says: /--kms-log .* It takes node=file/ },
  { words: "verify --after 0x12 --all", says: /--after .* It takes a request id: 0x and 64 hex digits/ },
  { words: `verify --after ${ID}`, says: /--after goes with --all/ },
  { words: "verify --all --every 5", says: /--all walks once/ },
  { words: "verify --all --page 0", says: /--page .* It takes a whole number from 1 to 5000/ },
  { words: "verify --blocks -1", says: /It takes a whole number/ },
  { words: "encrypt", says: /which chain\? .*\n.*which gateway\?/ },
  { words: `encrypt --rpc ftp://x --gateway ${ADDRESS}`, says: /--rpc must be an http or https URL/ },
  { words: `encrypt --rpc ${NOBODY} --gateway 0x12`, says: /--gateway must be an address/ },
  { words: `encrypt ${onChain}`, says: /the chain could not be asked/, code: 1 },
  { words: `encrypt ${onChain} --allow-public`, says: /add --register/ },
  { words: `encrypt ${onChain} --register --allow bob`, says: /--allow must be an address/ },
  { words: `encrypt ${onChain} --owner bob`, says: /--owner must be an address/ },
  { words: `encrypt ${onChain} --store F`, says: /It takes name=\/directory/ },
  { words: "encrypt my-value", says: /too many arguments for 'encrypt'/ },
  { words: "request public", says: /missing required argument 'handle'/ },
  { words: "request public 0x12", says: /a handle is 0x and 64 hex digits/ },
  { words: `request public ${ID} --deadline 0`, says: /It takes a whole number from 1 to 604800/ },
  { words: `request user ${ID}`, says: /required option '--transport-file <file>' not specified/ },
  { words: `request user ${ID} --transport-file F/t --account bob`, says: /--account must be an address/ },
  { words: `request open ${ID}`, says: /required option '--transport-file <file>' not specified/ },
  { words: "request open 0x12 --transport-file F/key", says: /a request id is 0x and 64 hex digits/ },
  { words: "request watch 0x12", says: /a request id is/ },
  { words: `request watch ${ID}`, says: /what is to be watched\?/ },
  { words: "request show 0x12", says: /a request id is/ },
  { words: `request show ${ID}`, says: /PORTCULLIS_DATABASE_URL_FILE is missing/ },
  { words: `request show ${ID}`, settings: { PORTCULLIS_DATABASE_URL_FILE: "F/not-a-url" }, says: /does not hold a postgres:\/\/ URL/ },
  { words: `request show ${ID}`, settings: { PORTCULLIS_DATABASE_URL_FILE: "F/database-url" }, says: /the database could not be asked/, code: 1 },
  { words: "request list --state lost", says: /Allowed choices are detected/ },
  { words: "request list --limit 0", says: /It takes a whole number from 1 to 1000/ },
  { words: `request cancel ${ID}`, says: /required option '--why <text>' not specified/ },
  { words: `request cancel ${ID} --why ${"x".repeat(201)}`, says: /It takes one line of at most 200 characters/ },
  { words: `request redrive ${ID}`, says: /required option '--why <text>' not specified/ },
  { words: "request redrive 0x12 --why mended", says: /a request id is 0x and 64 hex digits/ },
  { words: "parked list", says: /what the embedded bus has parked stands in the memory of its gateway/, code: 1 },
  { words: "parked redrive --why x", says: /say which: an <id>, or --subject <subject>, or --all/ },
  { words: "parked redrive 1-0a1b2c3d --all --why x", says: /say which/ },
  { words: "parked drop 1-0a1b2c3d", says: /required option '--why <text>' not specified/ },
  { words: "cluster", says: /Usage: portcullis cluster/ },
  { words: "cluster status", says: /PORTCULLIS_DATABASE_URL_FILE is missing/ },
  { words: "cluster status", settings: { PORTCULLIS_DATABASE_URL_FILE: "F/database-url" }, says: /the database could not be asked/, code: 1 },
  { words: "cluster drain", says: /missing required argument 'node'/ },
  { words: "cluster pause --why x", says: /missing required argument 'what'/ },
  { words: "cluster pause everything", says: /required option '--why <text>' not specified/ },
  { words: "cluster pause acl-checked --why x", says: /<what> is everything, step:<acl-checked\|.*did you mean step:acl-checked\?/ },
  { words: "cluster pause step:detected --why x", says: /<what> is everything/ },
  { words: "cluster pause lane:1/0x12 --why x", says: /lane:<chain id>\/<0x address>/ },
  { words: `cluster pause listener:1/${ADDRESS} --why x`, says: /listener:<chain id>/ },
  { words: "cluster pause chain:0x1 --why x", says: /chain:<id>/ },
  { words: "cluster resume evrything", says: /did you mean everything\?/ },
  { words: "keys deal", says: /required option '--directory <directory>' not specified/ },
  { words: deal("--threshold 4"), says: /--threshold cannot be larger than --nodes/ },
  { words: deal("--nodes 33"), says: /It takes a whole number from 1 to 32/ },
  { words: deal("--endpoints a:1,b:2"), says: /one host:port for each of the 3 nodes, and names 2/ },
  { words: deal("--endpoints a:1,a:1,b:2"), says: /names one endpoint twice/ },
  { words: deal("--endpoints a,b,c"), says: /It takes host:port/ },
  { words: deal("--directory F"), says: /--directory must be empty or new/ },
  { words: deal(""), settings: { PORTCULLIS_PRODUCTION: "yes" }, says: /the development dealer does not run in production/, code: 1 },
  { words: "keys certificates --directory F", says: /--directory names a file that cannot be read \(ENOENT\)/ },
  { words: "evidence verify F/nowhere", says: /<file> names a file that cannot be read \(ENOENT\)/ },
  { words: "evidence verify F/not-json", says: /<file> names a file that is not JSON/ },
  { words: "evidence verify F/not-evidence", says: /<file> is not an evidence file of this version/ },
  { words: `evidence export ${ID} 0`, says: /It takes a whole number from 1 to 32/ },
  { words: "evidence list", says: /PORTCULLIS_DATABASE_URL_FILE is missing/ },
  { words: "doctor --check", says: /unknown option '--check'/ }
]

const filled = (text: string): string => text.replaceAll(/\bF(?=\/|$| )/g, folder)

describe("bad input", () => {
  for (const { words, says, code = 2, settings = {} } of CASES) {
    const given = Object.entries(settings).map(([name, value]) => `${name}=${value} `).join("")
    test.concurrent(`${given}portcullis ${words.length > 100 ? `${words.slice(0, 100)}…` : words}`, async () => {
      const environment = Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, filled(value)]))
      const said = await portcullis(filled(words).trim().split(" "), { settings: environment })
      assert.match(said.errors, says)
      assert.equal(said.code, code)
      assert.equal(said.output, "")
      assert.doesNotMatch(said.errors, /\n\s+at /) // a sentence, not a stack
    })
  }

  test("with --json a failure is one JSON line on stderr", async () => {
    const { code, output, errors } = await portcullis(["request", "show", "0x12", "--json"])
    assert.equal(code, 2)
    assert.equal(output, "")
    assert.deepEqual(JSON.parse(errors), { error: { tag: "UsageRejected", message: "a request id is 0x and 64 hex digits" } })
  })

  test("nothing was dealt by any of the wrong deals", async () => assert.ok(!(await readdir(folder)).includes("new")))
})

describe("secrets", () => {
  const KEY_CASES: ReadonlyArray<readonly [file: string, says: RegExp]> = [
    ["F/open-key", /--key-file names a file that others can read: chmod 600/],
    ["F/no-key", /0x and 64 hex digits on one line/],
    ["F/nowhere", /cannot be read \(ENOENT\)/],
    ["F", /is not a file|EISDIR/]
  ]
  // The key is looked at once the chain is known, so somebody has to answer for one.
  test("a key file that cannot be one is refused without a word of what is in it", async () => {
    const server = createServer((request, response) => {
      request.resume().on("end", () => response.setHeader("content-type", "application/json").end(`{"jsonrpc":"2.0","id":1,"result":"0x1"}`))
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as { readonly port: number }
    try {
      for (const [file, says] of KEY_CASES) {
        const words = ["request", "public", ID, "--rpc", `http://127.0.0.1:${port}`, "--gateway", ADDRESS, "--key-file", filled(file)]
        const said = await portcullis(words)
        assert.match(said.errors, says)
        assert.equal(said.code, 2)
        assert.doesNotMatch(said.errors, /7e7e|horse/)
      }
    } finally {
      server.close()
    }
  })

  for (const words of [
    ["encrypt", PRIVATE_KEY],
    ["encrypt", `--private-key=${PRIVATE_KEY}`],
    ["encrypt", "--password=hunter2hunter2"],
    ["encrypt", "hunter2hunter2"],
    ["request", "list", "--limit", PRIVATE_KEY],
    ["request", "show", "0x12", PRIVATE_KEY],
    [PRIVATE_KEY]
  ]) {
    test.concurrent(`a secret where none belongs is not repeated: ${words.map((word) => word.replace(PRIVATE_KEY, "<key>")).join(" ")}`, async () => {
      const { code, output, errors } = await portcullis(words)
      assert.equal(code, 2)
      assert.doesNotMatch(output + errors, /7e7e7e7e|hunter2/)
    })
  }

  test("the key in the URL of an endpoint that lets nobody in is not repeated, by no command that asks it", async () => {
    const server = createServer((request, response) => void request.resume().on("end", () => response.writeHead(401).end("no")))
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as { readonly port: number }
    try {
      const addresses = Object.fromEntries(["decryptionGateway", "accessList", "ciphertextRegistry", "committeeRegistry"].map((name) => [name, ADDRESS]))
      const deployment = join(folder, "deployment.json")
      await writeFile(deployment, JSON.stringify({ chainId: "1", startBlock: 1, addresses }))
      const settings = { PORTCULLIS_RPC_URL: `http://user:hunter2hunter2@127.0.0.1:${port}/v3/hunter2hunter2`, PORTCULLIS_DEPLOYMENT_FILE: deployment }
      for (const words of [["encrypt"], ["encrypt", "--json"], ["request", "watch", ID], ["doctor"], ["doctor", "--json"]]) {
        const { code, output, errors } = await portcullis(words, { settings })
        assert.equal(code, 1, words.join(" "))
        assert.match(output + errors, /the chain could not be asked/)
        assert.doesNotMatch(output + errors, /hunter2/)
      }
    } finally {
      server.close()
    }
  })

  test("the password of a database that cannot be reached is not repeated", async () => {
    const { code, output, errors } = await portcullis(["request", "list"], {
      settings: { PORTCULLIS_DATABASE_URL_FILE: join(folder, "database-url") }
    })
    assert.equal(code, 1)
    assert.doesNotMatch(output + errors, /hunter2/)
  })
})
