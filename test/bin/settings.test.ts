/** Settings: one table, read strictly, every problem at once, and the files that are generated from it. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, test } from "vitest"
import { closestName } from "../../bin/closest-name.ts"
import { isRejected, readSettings, SETTINGS, type SettingName } from "../../bin/settings.ts"
import { SETTINGS_EXAMPLE, settingsExample, SETTINGS_PAGE, settingsPage } from "../../tools/list-settings.ts"

const read = (environment: Readonly<Record<string, string>>, needed: ReadonlyArray<SettingName> = [], file?: string) => {
  const settings = readSettings(environment, file, needed)
  return isRejected(settings) ? { problems: settings.problems } : { settings }
}

describe("settings", () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "portcullis-settings-"))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  test("have their defaults when nothing is given", () => {
    const { settings } = read({})
    assert.equal(settings?.PORTCULLIS_POLL_MS, 500)
    assert.equal(settings?.PORTCULLIS_RPC_URL, undefined)
  })

  test("come from a file, and from the environment where both have one", async () => {
    const file = join(folder, "settings")
    await writeFile(file, "# comment\nPORTCULLIS_POLL_MS=100\nPORTCULLIS_NODE_NAME='from the file'\nHOME=/nowhere\n")
    const { settings } = read({ PORTCULLIS_POLL_MS: "200" }, [], file)
    assert.equal(settings?.PORTCULLIS_POLL_MS, 200)
    assert.equal(settings?.PORTCULLIS_NODE_NAME, "from the file")
  })

  test("are complained about all at once, and never by quoting their values", () => {
    const { problems } = read(
      { PORTCULLIS_POLL_MS: "hunter2", PORTCULLIS_RPC_URL: "ftp://hunter2", PORTCULLIS_KMS_SECRET: "hunter2", PORTCULLIS_RPC_ULR: "http://hunter2" },
      ["PORTCULLIS_STORES"]
    )
    assert.equal(problems?.length, 5)
    assert.doesNotMatch(problems?.join() ?? "", /hunter2/)
    assert.ok(problems?.some((problem) => problem.startsWith("PORTCULLIS_STORES is missing: Object stores")))
  })

  test("with a typing mistake are answered with the right name; a stranger is not", () => {
    const [meant] = read({ PORTCULLIS_LOG_LEVLE: "info" }).problems ?? []
    assert.equal(meant, "PORTCULLIS_LOG_LEVLE is not a setting; did you mean PORTCULLIS_LOG_LEVEL?")
    const [stranger] = read({ PORTCULLIS_TOSTRING: "x" }).problems ?? []
    assert.equal(stranger, "PORTCULLIS_TOSTRING is not a setting; see docs/generated/settings.md")
  })

  test("that are empty count as missing", () => {
    assert.equal(read({ PORTCULLIS_RPC_URL: "" }).settings?.PORTCULLIS_RPC_URL, undefined)
    assert.equal(read({ PORTCULLIS_RPC_URL: "" }, ["PORTCULLIS_RPC_URL"]).problems?.length, 1)
  })

  test("each accept their own default", () => {
    for (const [name, setting] of Object.entries(SETTINGS)) {
      if ("fallback" in setting) assert.deepEqual(read({ [name]: String(setting.fallback) }).problems, undefined, name)
    }
  })

  for (const [page, text] of [
    [SETTINGS_PAGE, settingsPage()],
    [SETTINGS_EXAMPLE, settingsExample()]
  ] as const) {
    test(`${page} is what the table gives: run \`npm run generate\` otherwise`, () => {
      assert.equal(readFileSync(new URL(`../../${page}`, import.meta.url), "utf8"), text)
    })
  }

  test("the example, copied as it is, changes nothing; with every line uncommented it has no unknown name", () => {
    const example = settingsExample()
    assert.ok(example.split("\n").every((line) => line === "" || line.startsWith("#")))
    const names = [...example.matchAll(/^#(PORTCULLIS_[A-Z_]+)=/gm)].map((match) => match[1])
    assert.deepEqual(names.toSorted(), Object.keys(SETTINGS).toSorted())
  })
})

test("the closest name is the one that fewest typing mistakes lead to, and none when all are too many", () => {
  const names = ["PORTCULLIS_BUS", "PORTCULLIS_STORES", "PORTCULLIS_ROLES"] as const
  assert.equal(closestName("PORTCULLIS_STORE", names), "PORTCULLIS_STORES")
  assert.equal(closestName("PORTCULLIS_ROELS", names), "PORTCULLIS_ROLES")
  assert.equal(closestName("PORTCULLIS_DATABASE", names), undefined)
  assert.equal(closestName("x", []), undefined)
})
