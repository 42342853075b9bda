/**
 * Certificates for development: an authority that lives for one start, and what it signs for nodes (servers) and gateways
 * (clients). A node's certificate does not let it act as a gateway. X.509 v3 (RFC 5280) on P-256. Operators bring certificates of
 * their own authority.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto"
import { isIP } from "node:net"
import { bits, boolean, der, explicit, implicit, integer, octets, oid, sequence, set, time, utf8 } from "./der.ts"

/** PEM. */
export interface Certificate {
  readonly certificate: string
  readonly privateKey: string
}

export interface DevAuthority {
  /** PEM of the authority's own certificate: what both sides trust. */
  readonly authority: string
  /** For a server under these names: host names or IP addresses. The first is the subject. */
  readonly server: (names: readonly [string, ...ReadonlyArray<string>]) => Certificate
  /** For a caller. The name is what a node's limits and logs know it by. */
  readonly client: (name: string) => Certificate
}

/** A clock of the other side may be behind. */
const BACKDATED_MS = 5 * 60_000
/** Development runs for hours; nobody should come to rely on these. */
const LIFETIME_MS = 30 * 24 * 3_600_000

const ECDSA_WITH_SHA256 = sequence(oid("1.2.840.10045.4.3.2"))
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"

const nameOf = (commonName: string) => sequence(set(sequence(oid("2.5.4.3"), utf8(commonName))))
const spkiOf = (key: KeyObject) => key.export({ type: "spki", format: "der" })
/** RFC 5280 section 4.2.1.2, method 1, over the key's encoding. */
const keyIdOf = (key: KeyObject) => createHash("sha1").update(spkiOf(key)).digest()

const extension = (id: string, value: Uint8Array, isCritical = false) =>
  sequence(oid(id), ...(isCritical ? [boolean(true)] : []), octets(value))

const groupsOf = (text: string | undefined) => (text === undefined || text === "" ? [] : text.split(":"))

const ipBytes = (address: string): Buffer => {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number))
  const [head = "", tail] = address.split("::")
  const [left, right] = [groupsOf(head), groupsOf(tail)]
  const all = tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right]
  return Buffer.from(all.map((group) => group.padStart(4, "0")).join(""), "hex")
}

const alternativeName = (name: string) =>
  isIP(name) === 0 ? implicit(2, Buffer.from(name, "ascii")) : implicit(7, ipBytes(name))

interface Subject {
  readonly name: string
  readonly key: KeyObject
  readonly extensions: ReadonlyArray<Uint8Array>
}

const pem = (bytes: Uint8Array): string => {
  const lines = Buffer.from(bytes).toString("base64").match(/.{1,64}/g) ?? []
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n")
}

const issue = (
  subject: Subject,
  issuer: { readonly name: string; readonly publicKey: KeyObject; readonly privateKey: KeyObject },
  nowMs: number
) => {
  const authorityKeyId = extension("2.5.29.35", sequence(implicit(0, keyIdOf(issuer.publicKey))))
  const serial = randomBytes(16)
  serial[0] = (serial[0]! & 0x7f) | 0x40
  const body = sequence(
    explicit(0, der(0x02, Buffer.of(2))),
    integer(serial),
    ECDSA_WITH_SHA256,
    nameOf(issuer.name),
    sequence(time(new Date(nowMs - BACKDATED_MS)), time(new Date(nowMs + LIFETIME_MS))),
    nameOf(subject.name),
    spkiOf(subject.key),
    explicit(3, sequence(...subject.extensions, extension("2.5.29.14", octets(keyIdOf(subject.key))), authorityKeyId))
  )
  return pem(sequence(body, ECDSA_WITH_SHA256, bits(sign("sha256", body, issuer.privateKey))))
}

const newKeys = () => generateKeyPairSync("ec", { namedCurve: "P-256" })

/** `nowMs`: Unix milliseconds, the beginning of every certificate's validity. Keys exist only in what is returned. */
export const devAuthority = (nowMs: number): DevAuthority => {
  const keys = newKeys()
  // Two authorities of two starts must not look like one.
  const name = `Portcullis development ${randomBytes(4).toString("hex")}`
  const issuer = { name, ...keys }
  const own = {
    name,
    key: keys.publicKey,
    // CA without intermediates; keyCertSign and cRLSign.
    extensions: [
      extension("2.5.29.19", sequence(boolean(true), integer(Buffer.of(0))), true),
      extension("2.5.29.15", bits(Buffer.of(0x06), 1), true)
    ]
  }
  const leaf = (subject: string, usage: string, names: ReadonlyArray<string>): Certificate => {
    const { publicKey, privateKey } = newKeys()
    const extensions = [
      extension("2.5.29.19", sequence(), true),
      extension("2.5.29.15", bits(Buffer.of(0x80), 7), true), // digitalSignature
      extension("2.5.29.37", sequence(oid(usage))),
      ...(names.length > 0 ? [extension("2.5.29.17", sequence(...names.map(alternativeName)))] : [])
    ]
    return {
      certificate: issue({ name: subject, key: publicKey, extensions }, issuer, nowMs),
      privateKey: privateKey.export({ type: "pkcs8", format: "pem" }).toString()
    }
  }
  return {
    authority: issue(own, issuer, nowMs),
    server: (names) => leaf(names[0], SERVER_AUTH, names),
    client: (caller) => leaf(caller, CLIENT_AUTH, [])
  }
}
