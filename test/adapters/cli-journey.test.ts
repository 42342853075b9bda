/** The command line on a whole world: what a person does with it from the first value to a proof against a lying node, and what the doctor
 * says while parts of that world are down. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { Wallet } from "ethers"
import { afterAll, beforeAll, describe, test } from "vitest"
import { writeDevSettings } from "../../bin/dev-settings.ts"
import type { Finding } from "../../bin/doctor/finding.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { JOURNEY } from "../../src/domain/journey.ts"
import { jsonOf, portcullis, type CliOptions, type Said } from "../support/cli.ts"
import { eventually } from "../support/eventually.ts"
import { JourneyWorld, type RunningGateway } from "../support/journey.ts"
import { clusterCommands } from "./cli-cluster.ts"
import { redriveCommand } from "./cli-redrive.ts"
import { walkCommand } from "./cli-walk.ts"

let world: JourneyWorld
let gateway: RunningGateway
let settings: string
let folder: string
/** Whose history somebody has altered. */
let tampered: Hex

beforeAll(async () => {
  world = await JourneyWorld.start()
  gateway = await world.gateway()
  settings = await writeDevSettings(world.world)
  folder = await mkdtemp(join(tmpdir(), "portcullis-cli-"))
})
afterAll(async () => {
  await gateway?.stop()
  await world?.stop()
  await rm(folder, { recursive: true, force: true })
})

const run = (words: ReadonlyArray<string>, options: CliOptions = {}): Promise<Said> => portcullis([...words, "--settings", settings], options)

const well = async (words: ReadonlyArray<string>, options: CliOptions = {}): Promise<Said> => {
  const said = await run(words, options)
  assert.equal(said.code, 0, `portcullis ${words.join(" ")}: ${said.output}${said.errors}`)
  return said
}

const json = async <A>(words: ReadonlyArray<string>, options: CliOptions = {}): Promise<A> => jsonOf<A>(await well([...words, "--json"], options))

const handleOf = async (value: string | Uint8Array, ...words: ReadonlyArray<string>): Promise<Hex> =>
  (await json<{ readonly handle: Hex }>(["encrypt", "--register", ...words], { stdin: value })).handle

interface Encrypted {
  readonly owner: string
  readonly registered: boolean
  readonly sizeBytes: number
  readonly locations: ReadonlyArray<string>
}

interface Raised {
  readonly requestId: Hex
}

describe("a value that everybody may learn", () => {
  let request: Hex

  test("is encrypted from stdin, registered and allowed in one command", async () => {
    const { output } = await well(["encrypt", "--register", "--allow-public"], { stdin: "my bid: 42" })
    const handle = /^handle {5}(0x[0-9a-f]{64})$/m.exec(output)?.[1] ?? ""
    assert.match(output, /^on chain {3}registered, may be made public$/m)
    assert.match(output, new RegExp(`^next {7}portcullis request public ${handle} --wait$`, "m"))
    assert.doesNotMatch(output, /my bid/)
    request = (await json<Raised>(["request", "public", handle])).requestId
  })

  test("is watched live, one line for each fact, to its end", async () => {
    const { output } = await well(["request", "watch", request])
    const states = output.trim().split("\n").map((line) => [...JOURNEY, "finalized"].find((state) => line.includes(state)))
    assert.deepEqual(states, [...JOURNEY, "finalized"])
  })

  test("is watched by a program as one JSON object a line", async () => {
    const { output } = await well(["request", "watch", request, "--json"])
    const rows = output.trim().split("\n").map((line) => JSON.parse(line) as { readonly requestId: Hex; readonly to: string; readonly seq: number })
    assert.deepEqual(rows.map(({ to }) => to), [...JOURNEY, "finalized"])
    assert.ok(rows.every(({ requestId, seq }, index) => requestId === request && seq === index + 1))
  })

  test("is shown with its plaintext by whoever waits for it on the chain", async () => {
    const nodeless = settings.replace("settings.env", "no-database.env")
    const text = await readFile(settings, "utf8")
    await writeFile(nodeless, text.split("\n").filter((line) => !line.startsWith("PORTCULLIS_DATABASE")).join("\n"))
    const { code, output } = await portcullis(["request", "watch", request, "--settings", nodeless])
    assert.equal(code, 0)
    assert.match(output, /^plaintext {2}"my bid: 42"$/m)
  })

  test("has a history with evidence, whose hash chain holds", async () => {
    const { output } = await well(["request", "show", request])
    assert.match(output, /^state {6}finalized$/m)
    assert.match(output, /^ {7}resultHash: 0x[0-9a-f]{64}$/m)
    assert.match(output, /^history {4}intact: 7 transitions, hash 0x[0-9a-f]{64}$/m)
  })

  test("is shown to a program with every row and the verdict on its history", async () => {
    interface Shown {
      readonly state: string
      readonly kind: string
      readonly integrity: unknown
      readonly history: ReadonlyArray<{ readonly to: string }>
    }
    const { state, kind, integrity, history } = await json<Shown>(["request", "show", request])
    assert.deepEqual({ state, kind, integrity }, { state: "finalized", kind: "public", integrity: { type: "intact" } })
    assert.deepEqual(history.map(({ to }) => to), [...JOURNEY, "finalized"])
  })

  test("violates nothing, say chain, ledger and the nodes' own logs together, as long as nobody touches it", async () => {
    const logs = [1, 2, 3].flatMap((node) => ["--kms-log", `${node}=${world.world.kms.answerLog(node)}`])
    interface Verified {
      readonly ok: boolean
      readonly checks: Readonly<Record<string, { readonly result: string; readonly looked: number; readonly violations: ReadonlyArray<unknown> }>>
    }
    await eventually("the block that fulfilled it is final", async () => {
      const said = jsonOf<Verified>(await run(["verify", "--json", ...logs]))
      assert.deepEqual([said.ok, ...Object.values(said.checks).flatMap(({ violations }) => violations)], [true])
      return Object.values(said.checks).every(({ looked }) => looked > 0)
    })
    const { output } = await well(["verify"])
    assert.match(output, /^C1 {2}holds /m)
    assert.match(output, /^C4 {2}not checked .*no KMS node's own log was given\)$/m)
    assert.match(output, /^no violation; \d+ requests looked at$/m)
    const { code, errors } = await run(["verify", "--kms-log", "1=/nowhere/answers.jsonl"])
    assert.equal(code, 1)
    assert.match(errors, /the answer log \/nowhere\/answers.jsonl cannot be read \(ENOENT\)/)
  })

  test("has a history that nobody alters unseen: show names the row and ends with 1", async () => {
    // The table refuses changes, unless its owner says otherwise.
    await world.query("ALTER TABLE transition DISABLE TRIGGER append_only")
    await world.query(`UPDATE transition SET worker = worker || '!' WHERE request_id = '\\x${request.slice(2)}' AND seq = 3`)
    await world.query("ALTER TABLE transition ENABLE TRIGGER append_only")
    const { code, output } = await run(["request", "show", request])
    assert.equal(code, 1)
    assert.match(output, /^history {4}TAMPERED: row 3 does not follow from the rows before it$/m)
    const verified = await run(["verify"])
    assert.equal(verified.code, 1)
    assert.match(verified.output, new RegExp(`^ {4}C3 {2}${request} {2}its history is broken at transition 3$`, "m"))
    tampered = request
  })

  test("is listed under its state and under no other", async () => {
    interface List {
      readonly requests: ReadonlyArray<{ readonly id: Hex; readonly state: string }>
      readonly counts: Readonly<Record<string, number>>
    }
    const { requests, counts } = await json<List>(["request", "list", "--state", "finalized"])
    assert.ok(requests.some(({ id }) => id === request))
    assert.ok((counts["finalized"] ?? 0) >= 1)
    assert.deepEqual((await json<List>(["request", "list", "--state", "halted"])).requests, [])
  })

  test("can no longer be cancelled", async () => {
    const { code, errors } = await run(["request", "cancel", request, "--why", "too late"])
    assert.equal(code, 1)
    assert.match(errors, /the request has ended: finalized/)
  })
})

describe("a value for one reader", () => {
  test("is opened with the transport file alone, and that file is written for its owner alone", async () => {
    const secret = new Uint8Array(randomBytes(5_000))
    const valueFile = join(folder, "value")
    const transport = join(folder, "transport")
    await writeFile(valueFile, secret)
    const handle = await handleOf("", "--value-file", valueFile)
    const { requestId } = await json<Raised>(["request", "user", handle, "--transport-file", transport, "--wait"])
    assert.equal((await stat(transport)).mode & 0o777, 0o600)
    const out = join(folder, "opened")
    await well(["request", "open", requestId, "--transport-file", transport, "--value-file", out])
    assert.deepEqual(new Uint8Array(await readFile(out)), secret)
    assert.equal((await stat(out)).mode & 0o777, 0o600)
    const shown = await json<{ readonly plaintexts: ReadonlyArray<{ readonly hex: Hex }> }>(["request", "open", requestId, "--transport-file", transport])
    assert.equal(shown.plaintexts[0]?.hex, `0x${Buffer.from(secret).toString("hex")}`)
  })

  test("is encrypted for an owner without that owner's key, into as many stores as are named, and nothing is sent", async () => {
    const owner = `0x${"0a".repeat(20)}`
    const stores = ["one", "two"].flatMap((name) => ["--store", `${name}=${join(folder, name)}`])
    const keyless = { PORTCULLIS_ACCOUNT_KEY_FILE: "" }
    const before = await world.world.provider.getTransactionCount(owner)
    const made = await json<Encrypted>(["encrypt", "--owner", owner, ...stores], { stdin: "theirs", settings: keyless })
    assert.deepEqual({ owner: made.owner, registered: made.registered }, { owner, registered: false })
    assert.deepEqual(made.locations.map((location) => location.split("/")[2]), ["one", "two"])
    assert.equal(await world.world.provider.getTransactionCount(owner), before)
    for (const [index, name] of ["one", "two"].entries()) {
      const key = made.locations[index]?.split("/").slice(3).join("/") ?? ""
      assert.equal((await stat(join(folder, name, key))).size, made.sizeBytes)
    }
  })

  test("may be allowed for somebody else, who asks in their own name", async () => {
    const reader = Wallet.createRandom()
    await world.world.provider.send("anvil_setBalance", [reader.address, "0xde0b6b3a7640000"])
    const keyFile = join(folder, "reader-key")
    await writeFile(keyFile, reader.privateKey, { mode: 0o600 })
    const handle = await handleOf("for the reader", "--allow", reader.address)
    const transport = join(folder, "reader-transport")
    const { requestId } = await json<Raised>(["request", "user", handle, "--key-file", keyFile, "--transport-file", transport, "--wait"])
    assert.match((await well(["request", "open", requestId, "--transport-file", transport])).output, /^plaintext {2}"for the reader" /)
    assert.match((await well(["request", "show", requestId])).output, new RegExp(`^requester {2}${reader.address.toLowerCase()}$`, "m"))
  })

  test("is not asked for when the transport file exists: its secret may belong to another request", async () => {
    const handle = await handleOf("x")
    const transport = join(folder, "taken")
    await writeFile(transport, "somebody else's", { mode: 0o600 })
    const { code, errors } = await run(["request", "user", handle, "--transport-file", transport])
    assert.equal(code, 2)
    assert.match(errors, /--transport-file names a file that exists/)
    assert.equal(await readFile(transport, "utf8"), "somebody else's")
  })

  test("cannot be opened with another transport file", async () => {
    const handle = await handleOf("x")
    const [right, wrong] = [join(folder, "right"), join(folder, "wrong")]
    const { requestId } = await json<Raised>(["request", "user", handle, "--transport-file", right, "--wait"])
    await writeFile(wrong, `0x${"17".repeat(32)}\n`, { mode: 0o600 })
    const { code, errors } = await run(["request", "open", requestId, "--transport-file", wrong])
    assert.equal(code, 1)
    assert.match(errors, /asked for with another transport key/)
  })
})

describe("a request that is not to be answered", () => {
  test("of a handle that is not public ends as refused, and watching it ends with 1", async () => {
    const handle = await handleOf("not yours")
    const { requestId } = await json<Raised>(["request", "public", handle])
    const { code, output } = await run(["request", "watch", requestId])
    assert.equal(code, 1)
    assert.match(output, /refused .*not-public/)
  })

  test("that nobody has raised is waited for as long as was asked, and no longer", async () => {
    const { code, errors } = await run(["request", "watch", `0x${"11".repeat(32)}`, "--timeout", "1"])
    assert.equal(code, 1)
    assert.match(errors, /the request has not ended within 1 s/)
  })

  test("is cancelled by an operator, whose name and reason stay in its history", async () => {
    await gateway.stop()
    await world.world.kms.stop(2)
    await world.world.kms.stop(3) // one node of three answers: the request waits for shares
    gateway = await world.gateway()
    const handle = await handleOf("recalled", "--allow-public")
    const { requestId } = await json<Raised>(["request", "public", handle])
    await world.reaches(requestId, "ciphertext-fetched")
    await eventually("show says why it waits", async () =>
      /^state {6}ciphertext-fetched; tried last without success: 1 of 2 shares/m.test((await run(["request", "show", requestId])).output)
    )
    await well(["request", "cancel", requestId, "--why", "recalled by its owner"])
    const { code, output } = await run(["request", "watch", requestId])
    assert.equal(code, 1)
    assert.match(output, /cancelled .*: recalled by its owner/)
    await world.world.kms.start(2)
    await world.world.kms.start(3)
  })

  const startAgain = async () => {
    await gateway.stop()
    gateway = await world.gateway()
  }
  redriveCommand(() => ({ world, run, handleOf, startAgain }))
})

describe("a walk through the whole ledger", () => walkCommand(() => ({ run, tampered })))

interface Examined {
  readonly ok: boolean
  readonly findings: ReadonlyArray<Finding>
}

const examined = async (): Promise<Examined & { readonly code: number | null }> => {
  const said = await run(["doctor", "--json"])
  return { ...jsonOf<Examined>(said), code: said.code }
}

const failures = ({ findings }: Examined): ReadonlyArray<string> => findings.filter(({ status }) => status === "FAIL").map(({ part }) => part)

describe("a cluster", () => clusterCommands(() => ({ world, httpUrl: gateway.httpUrl, run })))

describe("the doctor", () => {
  test("finds nothing wrong with a world that is well, and says so line by line", async () => {
    const report = await examined()
    assert.deepEqual(report.findings.filter(({ status }) => status !== "ok"), [])
    assert.equal(report.code, 0)
    const parts = new Set(report.findings.map(({ part }) => part))
    const looked = ["machine", "files", "database", "nats", "chain", "contracts", "committee", "kms 1", "kms 2", "kms 3", "lanes", "store", "cache"]
    assert.deepEqual(looked.filter((part) => !parts.has(part)), [])
    assert.match((await well(["doctor"])).output, /^ok {4}kms 3 {7}127\.0\.0\.1:\d+, .*\n(?:.*\n)*\d+ ok, 0 to look at, 0 failed\n$/m)
  })

  test("names the KMS node that is down, and says when too few are left", async () => {
    await world.world.kms.stop(2)
    const one = await examined()
    assert.deepEqual(failures(one), ["kms 2"])
    assert.equal(one.code, 1)
    await world.world.kms.stop(3)
    assert.deepEqual(failures(await examined()), ["kms 2", "kms 3", "kms"])
    await world.world.kms.start(2)
    await world.world.kms.start(3)
    assert.deepEqual(failures(await examined()), [])
  })

  test("says that the database is down, and still looks at everything else", async () => {
    await Effect.runPromise(world.world.postgres.stop("fast"))
    const report = await examined()
    assert.deepEqual(failures(report), ["database"])
    assert.equal(report.code, 1)
    assert.ok(report.findings.some(({ part, status }) => part === "kms 1" && status === "ok"))
    assert.match((await run(["doctor"])).output, /^FAIL {2}database .*\n +-> See that PostgreSQL runs/m)
    await Effect.runPromise(world.world.postgres.start)
    await eventually("the database is back", async () => failures(await examined()).length === 0, 30_000)
  })

  test("sees a key file that others can read, a missing store and the wrong chain, all at once", async () => {
    const key = join(folder, "open-key")
    await writeFile(key, `0x${"7e".repeat(32)}\n`)
    const deployment = join(folder, "other-chain.json")
    const right = JSON.parse(await readFile(world.world.environment["PORTCULLIS_DEPLOYMENT_FILE"] ?? "", "utf8")) as object
    await writeFile(deployment, JSON.stringify({ ...right, chainId: "1" }))
    const said = await run(["doctor", "--json"], {
      settings: {
        PORTCULLIS_ACCOUNT_KEY_FILE: key,
        PORTCULLIS_STORES: `gone=${join(folder, "gone")}`,
        PORTCULLIS_DEPLOYMENT_FILE: deployment
      }
    })
    assert.deepEqual(failures(jsonOf<Examined>(said)).toSorted(), ["chain", "files", "store"])
    assert.doesNotMatch(said.output, /7e7e/)
  })
})

describe("evidence against a lying node", () => {
  let request: Hex
  let file: string

  test("is kept by the ledger, listed, and exported as a file", async () => {
    await world.world.kms.stop(1)
    await world.world.kms.start(1, "wrong-share")
    await world.world.kms.stop(3) // so that node 1 has to be asked
    request = (await world.publicRequest()).id
    interface Kept {
      readonly evidence: ReadonlyArray<{ readonly requestId: Hex; readonly nodeId: number }>
    }
    const kept = await eventually("node 1 is caught", async () => {
      const { evidence } = await json<Kept>(["evidence", "list"])
      return evidence.length > 0 && evidence.map(({ requestId, nodeId }) => [requestId, nodeId])
    }, 60_000)
    assert.deepEqual(kept, [[request, 1]])
    await world.world.kms.start(3)
    await world.reaches(request, "finalized")
    file = join(folder, "evidence.json")
    await well(["evidence", "export", request, "1", "--out", file])
    assert.match((await well(["request", "show", request])).output, /^liar {7}node 1: portcullis evidence export /m)
  })

  test("is read offline, but proves nothing to anybody as long as nobody vouches for the record", async () => {
    const { code, output } = await portcullis(["evidence", "verify", file])
    assert.equal(code, 1)
    assert.match(output, /^UNVOUCHED {2}node 1 \(0x[0-9a-f]{40}\) signed a wrong share for handle 1/)
    assert.match(output, /^record {5}the record in the file: give --rpc/m)
  })

  test("is proved under the committee record of the chain", async () => {
    const verdict = await json<{ readonly type: string; readonly nodeId: number; readonly vouchedBy: string }>(["evidence", "verify", file])
    assert.deepEqual([verdict.type, verdict.nodeId, verdict.vouchedBy], ["proved", 1, "chain"])
  })

  test("is not proved when the file was changed, and not under another committee", async () => {
    const evidence = JSON.parse(await readFile(file, "utf8")) as { readonly nodeId: number; readonly committee: { readonly threshold: number } }
    const blamed = join(folder, "blamed.json")
    await writeFile(blamed, JSON.stringify({ ...evidence, nodeId: 2 }))
    const framed = await portcullis(["evidence", "verify", blamed])
    assert.equal(framed.code, 1)
    assert.match(framed.output, /^NOT PROVED the node's identity did not sign this$/m)
    const forged = join(folder, "forged.json")
    await writeFile(forged, JSON.stringify({ ...evidence, committee: { ...evidence.committee, threshold: 3 } }))
    const other = await run(["evidence", "verify", forged])
    assert.equal(other.code, 1)
    assert.match(other.output, /^NOT PROVED the file is about another chain, gateway, registry or committee record$/m)
  })

  test("against a node that did not lie there is none", async () => {
    const { code, errors } = await run(["evidence", "export", request, "2"])
    assert.equal(code, 1)
    assert.match(errors, /the ledger keeps no evidence against node 2 for this request/)
  })
})
