/** The development dealer and its certificates, as somebody who sets up a committee by hand uses them, and the doctor on a node's machine. */
import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, test } from "vitest"
import type { Finding } from "../../bin/doctor/finding.ts"
import type { Committee } from "../../src/domain/committee.ts"
import { jsonOf, portcullis, type Said } from "../support/cli.ts"

describe("a committee dealt by hand", () => {
  let folder: string
  let committee: string
  let dealt: Said
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "portcullis-deal-"))
    committee = join(folder, "committee")
    const where = "kms1.example.com:7443,kms2.example.com:7443,127.0.0.1:7445"
    dealt = await portcullis(["keys", "deal", "--directory", committee, "--nodes", "3", "--threshold", "2", "--endpoints", where, "--scheme", "quorum"])
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  test("says first that it is for development only, and what to do next", () => {
    assert.equal(dealt.code, 0)
    assert.match(dealt.output, /^FOR DEVELOPMENT ONLY: this process has seen the whole key/)
    assert.match(dealt.output, /^committee {2}.*committee\.json: 2 of 3, epoch 1, quorum$/m)
    assert.match(dealt.output, /^next {7}portcullis keys certificates --directory /m)
  })

  test("is a public record, and for each node a folder of files that say where they are from and that nobody else can read", async () => {
    const record = JSON.parse(await readFile(join(committee, "committee.json"), "utf8")) as { readonly origin: string; readonly committee: Committee }
    assert.equal(record.origin, "development-dealer")
    assert.deepEqual(record.committee.nodes.map(({ endpoint }) => endpoint), ["kms1.example.com:7443", "kms2.example.com:7443", "127.0.0.1:7445"])
    for (const id of [1, 2, 3]) {
      const node = join(committee, `node-${id}`)
      for (const name of ["identity.json", "share-epoch-1.json"]) {
        assert.match(await readFile(join(node, name), "utf8"), /"origin": "development-dealer"/)
      }
      assert.equal((await stat(join(node, "key-encryption-key"))).mode & 0o777, 0o600)
    }
  })

  test("is never dealt over another", async () => {
    const before = await readdir(committee, { recursive: true })
    const again = await portcullis(["keys", "deal", "--directory", committee, "--nodes", "1", "--threshold", "1", "--endpoints", "a:1"])
    assert.equal(again.code, 2)
    assert.match(again.errors, /--directory must be empty or new: keys are never dealt over others/)
    assert.deepEqual(await readdir(committee, { recursive: true }), before)
  })

  test("gets certificates under the names of its endpoints, all signed by one authority", async () => {
    const { written } = jsonOf<{ readonly written: ReadonlyArray<{ readonly for: string; readonly directory: string }> }>(
      await portcullis(["keys", "certificates", "--directory", committee, "--json"])
    )
    assert.deepEqual(written.map((one) => one.for), ["gateway", "node 1", "node 2", "node 3"])
    const certificates = await Promise.all(written.map(async ({ directory }) => new X509Certificate(await readFile(join(directory, "cert.pem")))))
    const authority = new X509Certificate(await readFile(join(written[0]?.directory ?? "", "ca.pem")))
    assert.ok(certificates.every((certificate) => certificate.verify(authority.publicKey)))
    assert.deepEqual(
      certificates.map((certificate) => certificate.subjectAltName),
      [undefined, "DNS:kms1.example.com", "DNS:kms2.example.com", "IP Address:127.0.0.1"]
    )
    for (const { directory } of written) assert.equal((await stat(join(directory, "key.pem"))).mode & 0o777, 0o600)
  })

  describe("is looked at by the doctor on a node's own machine", () => {
    const doctor = async (settings: Readonly<Record<string, string>>): Promise<ReadonlyArray<Finding>> => {
      const node = join(committee, "node-1")
      const own = { PORTCULLIS_KMS_DIR: node, PORTCULLIS_KMS_KEY_FILE: join(node, "key-encryption-key"), PORTCULLIS_KMS_TLS_DIR: join(node, "tls") }
      const said = await portcullis(["doctor", "--json"], { settings: { ...own, ...settings } })
      return jsonOf<{ readonly findings: ReadonlyArray<Finding> }>(said).findings
    }
    const vault = (findings: ReadonlyArray<Finding>) => findings.filter(({ part }) => part === "vault")

    test("whose sealed files open under its key", async () => {
      const findings = await doctor({})
      assert.match(vault(findings)[0]?.detail ?? "", /^node 1, identity 0x[0-9a-f]{40}, epochs 1$/)
      assert.equal(vault(findings)[0]?.status, "ok")
      // A node's machine needs no gateway's settings, and a gateway's needs are not demanded of it.
      const missing = findings.filter(({ part }) => part === "settings").map(({ detail }) => detail.split(" ")[0])
      assert.deepEqual(missing, ["PORTCULLIS_KMS_ANSWER_LOG", "PORTCULLIS_RPC_URL", "PORTCULLIS_DEPLOYMENT_FILE"])
      assert.ok(findings.some(({ part, status, detail }) => part === "files" && status === "ok" && detail.includes("cert.pem is valid until")))
    })

    test("where another node's key is a failure", async () => {
      const [finding] = vault(await doctor({ PORTCULLIS_KMS_KEY_FILE: join(committee, "node-2", "key-encryption-key") }))
      assert.equal(finding?.status, "FAIL")
      assert.match(finding?.advice ?? "", /must be those of the same node/)
    })

    test("where dealt keys are a failure in production", async () => {
      const [finding] = vault(await doctor({ PORTCULLIS_PRODUCTION: "yes" }))
      assert.equal(finding?.status, "FAIL")
      assert.match(finding?.detail ?? "", /dealt for development/)
    })
  })
})
