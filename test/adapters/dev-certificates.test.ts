/** Development certificates: X.509 that OpenSSL accepts, for one purpose and one name each. */
import { createPrivateKey, X509Certificate } from "node:crypto"
import fc from "fast-check"
import { expect, test } from "vitest"
import { der, integer, oid, time } from "../../src/adapters/dev-certificates/der.ts"
import { devAuthority } from "../../src/adapters/dev-certificates/dev-certificates.ts"

const NOW = Date.UTC(2026, 10, 21)
const authority = devAuthority(NOW)
const root = new X509Certificate(authority.authority)

test("the authority signs itself and may sign others", () => {
  expect(root.ca).toBe(true)
  expect(root.verify(root.publicKey)).toBe(true)
  expect(root.subject).toMatch(/^CN=Portcullis development [0-9a-f]{8}$/)
})

test("a server certificate is for its names, and for serving", () => {
  const made = authority.server(["kms-1.example.org", "localhost", "127.0.0.1", "::1", "2001:db8::7"])
  const certificate = new X509Certificate(made.certificate)
  expect(certificate.checkIssued(root)).toBe(true)
  expect(certificate.verify(root.publicKey)).toBe(true)
  expect(certificate.checkPrivateKey(createPrivateKey(made.privateKey))).toBe(true)
  expect(certificate.ca).toBe(false)
  expect(certificate.subject).toBe("CN=kms-1.example.org")
  for (const host of ["kms-1.example.org", "localhost"]) expect(certificate.checkHost(host)).toBe(host)
  for (const ip of ["127.0.0.1", "::1", "2001:db8::7"]) expect(certificate.checkIP(ip)).toBe(ip)
  expect([certificate.checkHost("kms-2.example.org"), certificate.checkIP("127.0.0.2")]).toEqual([undefined, undefined])
  expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"])
})

test("a client certificate is for asking only", () => {
  const certificate = new X509Certificate(authority.client("gateway-1").certificate)
  expect(certificate.subject).toBe("CN=gateway-1")
  expect(certificate.verify(root.publicKey)).toBe(true)
  expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"])
})

test("they are valid from a little before now, for thirty days", () => {
  const certificate = new X509Certificate(authority.client("gateway-1").certificate)
  expect(certificate.validFromDate.getTime()).toBe(NOW - 300_000)
  expect(certificate.validToDate.getTime()).toBe(NOW + 30 * 86_400_000)
})

test("two authorities do not vouch for each other's", () => {
  const other = new X509Certificate(devAuthority(NOW).authority)
  const certificate = new X509Certificate(authority.client("gateway-1").certificate)
  expect(certificate.checkIssued(other)).toBe(false)
  expect(certificate.verify(other.publicKey)).toBe(false)
})

test("lengths, integers, object identifiers and times are written as X.690 and RFC 5280 say", () => {
  expect(der(0x04, new Uint8Array(127)).subarray(0, 3).toString("hex")).toBe("047f00")
  expect(der(0x04, new Uint8Array(128)).subarray(0, 4).toString("hex")).toBe("04818000")
  expect(der(0x04, new Uint8Array(300)).subarray(0, 4).toString("hex")).toBe("0482012c")
  expect(integer(Buffer.from("00", "hex")).toString("hex")).toBe("020100")
  expect(integer(Buffer.from("0000ff", "hex")).toString("hex")).toBe("020200ff")
  expect(oid("1.2.840.10045.4.3.2").toString("hex")).toBe("06082a8648ce3d040302")
  expect(time(new Date(Date.UTC(2049, 11, 31, 23, 59, 59))).toString("latin1")).toContain("491231235959Z")
  expect(time(new Date(Date.UTC(2050, 0, 1))).toString("latin1")).toContain("20500101000000Z")
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
      const written = integer(bytes)
      expect(BigInt(`0x${written.subarray(2).toString("hex")}`)).toBe(BigInt(`0x${Buffer.from(bytes).toString("hex")}`))
      expect(written[2]! < 0x80).toBe(true)
    })
  )
})
