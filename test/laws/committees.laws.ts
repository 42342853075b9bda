/** What every Committees promises those who ask nodes for shares: the record as it was registered, or that there is none. */
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { AttestationScheme, Committee } from "../../src/domain/committee.ts"
import type { Hex } from "../../src/domain/hex.ts"
import type { Committees } from "../../src/journey/4-shares-collected/committee.port.ts"

export type Registered = Omit<Committee, "isRetired">

export interface GivenCommittees {
  /** Asked anew each time: an adapter may remember a record for a while. */
  readonly open: () => Promise<Committees["Service"]>
  /** Epoch 1, attesting by quorum. */
  readonly first: Registered
  readonly register: (scheme: AttestationScheme, threshold: number, nodes: number, suiteId?: Hex) => Promise<Registered>
  /** A committee whose verifier is not one. */
  readonly registerWithoutVerifier: () => Promise<number>
  readonly retire: (epoch: number) => Promise<unknown>
  readonly close: () => Promise<void>
}

export const committeesLaws = (name: string, open: () => Promise<GivenCommittees>) =>
  describe(name, () => {
    let given: GivenCommittees

    beforeAll(async () => {
      given = await open()
    })
    afterAll(() => given.close())

    const ask = async <A, E>(question: (committees: Committees["Service"]) => Effect.Effect<A, E>) =>
      Effect.runPromise(question(await given.open()))
    const committee = (epoch: number) => ask((committees) => committees.committee(epoch))
    const refusal = (epoch: number) => ask((committees) => Effect.flip(committees.committee(epoch)))

    test("a record is told as it was registered: threshold, keys and nodes in their order", async () => {
      expect(await committee(1)).toEqual({ ...given.first, isRetired: false })
    })

    const committees = [
      ["bls", 2, 3],
      ["quorum", 1, 1],
      ["bls", 9, 13]
    ] as const
    test.each(committees)("one that attests by %s, %i of %i, is told so, and is current", async (scheme, threshold, nodes) => {
      const registered = await given.register(scheme, threshold, nodes)
      expect(await committee(registered.epoch)).toEqual({ ...registered, isRetired: false })
      expect(registered.scheme).toBe(scheme)
      expect((await ask(({ current }) => current)).epoch).toBe(registered.epoch)
    })

    test("an epoch that nobody registered is unusable, which halts: no waiting helps", async () => {
      for (const epoch of [0, 1_000]) expect(await refusal(epoch)).toMatchObject({ _tag: "EpochUnusable", fate: "halt", epoch })
    })

    test("an epoch that speaks another suite is unusable", async () => {
      const { epoch } = await given.register("quorum", 2, 3, `0x${"5e".repeat(32)}`)
      const reason = expect.stringContaining("portcullis/native") as string
      expect(await refusal(epoch)).toMatchObject({ _tag: "EpochUnusable", epoch, reason })
    })

    test("an epoch whose verifier does not say how it verifies is unusable", async () => {
      const epoch = await given.registerWithoutVerifier()
      expect(await refusal(epoch)).toMatchObject({ _tag: "EpochUnusable", epoch })
    })

    test("a retired epoch keeps its record, and says that it is retired", async () => {
      const registered = await given.register("quorum", 2, 3)
      await given.retire(registered.epoch)
      expect(await committee(registered.epoch)).toEqual({ ...registered, isRetired: true })
    })

    test("many who ask at once are told the same", async () => {
      const committees = await given.open()
      const questions = Array.from({ length: 50 }, () => committees.committee(1))
      const answers = await Effect.runPromise(Effect.all(questions, { concurrency: "unbounded" }))
      for (const answer of answers) expect(answer).toEqual({ ...given.first, isRetired: false })
    })
  })
