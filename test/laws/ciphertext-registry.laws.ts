/** What every CiphertextRegistry promises `fetch-ciphertext`: what was registered, in the order asked, and nothing else. */
import { randomBytes } from "node:crypto"
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { CiphertextRecord } from "../../src/domain/ciphertext.ts"
import type { Handle } from "../../src/domain/handle.ts"
import { toHex, type Hex } from "../../src/domain/hex.ts"
import type { CiphertextRegistry } from "../../src/journey/3-ciphertext-fetched/ciphertext-registry.port.ts"

export interface GivenCiphertextRegistry {
  readonly registry: CiphertextRegistry["Service"]
  readonly owner: Hex
  /** The handle that the owner's salt gives, registered or not. */
  readonly handleFor: (salt: Hex) => Handle
  /** Locations as the bytes that somebody sends: the contract does not look whether they are text. */
  readonly register: (
    salt: Hex,
    of: Pick<CiphertextRecord, "digest" | "sizeBytes">,
    locations: ReadonlyArray<Uint8Array>
  ) => Promise<unknown>
  readonly close: () => Promise<void>
}

export const ciphertextRegistryLaws = (name: string, open: () => Promise<GivenCiphertextRegistry>) =>
  describe(name, () => {
    let given: GivenCiphertextRegistry

    beforeAll(async () => {
      given = await open()
    })
    afterAll(() => given.close())

    const records = (...handles: ReadonlyArray<Handle>) => Effect.runPromise(given.registry.records(handles))
    const random = () => toHex(randomBytes(32))
    const registered = async (
      locations: ReadonlyArray<string | Uint8Array> = ["store://main/one"],
      sizeBytes = 400
    ): Promise<CiphertextRecord> => {
      const [salt, digest] = [random(), random()]
      const bytes = locations.map((at) => (typeof at === "string" ? Buffer.from(at) : at))
      await given.register(salt, { digest, sizeBytes }, bytes)
      const texts = locations.filter((at) => typeof at === "string")
      return { handle: given.handleFor(salt), owner: given.owner, digest, sizeBytes, epoch: 1, locations: texts }
    }

    test("a record says owner, digest, size, epoch and every location, in the owner's order", async () => {
      const locations = ["store://main/ab/cd.pct", "store://elsewhere/x", "store://main/ünïcödé", "https://not-a-store/"]
      const record = await registered(locations, 2 ** 32 - 1)
      expect(await records(record.handle)).toEqual([record])
    })

    test("records come in the order of the handles, with nothing where nobody registered anything", async () => {
      const [one, two] = [await registered(), await registered()]
      const nobody = random()
      expect(await records(two.handle, nobody, one.handle, two.handle)).toEqual([two, undefined, one, two])
      expect(await records(nobody)).toEqual([undefined])
      expect(await records()).toEqual([])
    })

    test("a handle that was asked for too early is found once it is registered", async () => {
      const [salt, digest] = [random(), random()]
      expect(await records(given.handleFor(salt))).toEqual([undefined])
      await given.register(salt, { digest, sizeBytes: 1 }, [Buffer.from("store://main/late")])
      expect(await records(given.handleFor(salt))).toMatchObject([{ digest, sizeBytes: 1, locations: ["store://main/late"] }])
    })

    test("a location that is no text costs that location, not the record", async () => {
      const record = await registered([new Uint8Array([0xff, 0xfe, 0x80]), "store://main/good"])
      const [found] = await records(record.handle)
      expect(found).toMatchObject({ digest: record.digest, owner: record.owner })
      expect(found!.locations).toHaveLength(2)
      expect(found!.locations[0]).not.toMatch(/^store:/)
      expect(found!.locations[1]).toBe("store://main/good")
    })

    test("thirty-two handles, the most that a request may name, are answered together", async () => {
      const known = await registered()
      const handles = Array.from({ length: 32 }, (_, index) => (index % 2 === 0 ? known.handle : random()))
      const found = await records(...handles)
      expect(found).toEqual(handles.map((handle) => (handle === known.handle ? known : undefined)))
    })
  })
