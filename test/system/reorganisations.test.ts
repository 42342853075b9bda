/** The chain may take back what it said: requests go, move, and results are brought again. */
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { devGateway } from "../../bin/dev-gateway.ts"
import { eventually } from "../support/eventually.ts"
import { JourneyWorld, type RunningGateway } from "../support/journey.ts"

const REORG_BLOCKS = 3

describe("a reorganisation of three blocks", () => {
  let journey: JourneyWorld
  let gateway: RunningGateway
  beforeAll(async () => {
    // Blocks are made by hand, so that a test knows which ones it takes back; none of them has been called final (two epochs below the newest):
    // a listener rightly stops when final blocks go.
    journey = await JourneyWorld.start({ anvil: { slotsInAnEpoch: 8 } })
    gateway = await journey.gateway({ chain: { ...chainOf(), resultFinality: { type: "confirmations", blocks: 8 } } })
  })
  afterAll(async () => {
    await gateway?.stop()
    await journey?.stop()
  })

  const chainOf = () => devGateway(journey.world).chain
  const mine = (blocks: number) => journey.world.provider.send("anvil_mine", [`0x${blocks.toString(16)}`])
  /** What the listener has not read it cannot be told to be gone. */
  const hasReadAll = () =>
    eventually("the listener has read the newest block", async () => {
      const head = await journey.world.provider.getBlockNumber()
      const read = await journey.query<{ readonly height: string }>("SELECT max(block_number) AS height FROM chain_block")
      return Number(read[0]?.height) === head
    }, 30_000)
  /** Finality needs blocks, and blocks are made by hand here. */
  const finalizes = async (id: `0x${string}`) => {
    await eventually(`${id} is finalized`, async () => {
      await mine(1)
      return (await journey.history(id)).at(-1)?.to === "finalized"
    }, 60_000)
    return journey.history(id)
  }
  const rawOf = async (txHash: string) => (await journey.world.provider.send("eth_getRawTransactionByHash", [txHash])) as string

  test("that removes a request makes it orphaned, and one that brings it back makes it live again", async () => {
    const { encrypted } = await journey.value(undefined, { stored: false }) // it waits in acl-checked
    await journey.client.allowForDecryption(encrypted.handle)
    const { requestId, txHash } = await journey.client.requestPublic([encrypted.handle])
    const raw = await rawOf(txHash)
    await journey.reaches(requestId, "acl-checked")
    await mine(REORG_BLOCKS - 1)
    await hasReadAll()
    await journey.world.provider.send("anvil_reorg", [REORG_BLOCKS, []])
    const history = await journey.reaches(requestId, "orphaned")
    expect(history.at(-1)?.event).toMatchObject({ type: "orphaned" })
    expect(await journey.fulfilments(requestId)).toEqual([])

    await journey.put(encrypted)
    await journey.world.provider.send("eth_sendRawTransaction", [raw])
    await mine(1)
    await journey.reaches(requestId, "submitted")
    await finalizes(requestId)
    expect(await journey.fulfilments(requestId)).toHaveLength(1)
  })

  test("that moves a request to another block follows it there under the same id and answers once", async () => {
    const { encrypted, value } = await journey.value(undefined, { stored: false })
    await journey.client.allowForDecryption(encrypted.handle)
    const { requestId, txHash, blockNumber } = await journey.client.requestPublic([encrypted.handle])
    const raw = await rawOf(txHash)
    await journey.reaches(requestId, "acl-checked")
    await mine(REORG_BLOCKS - 1)
    await hasReadAll()
    // The transaction comes back one block later than it stood.
    await journey.world.provider.send("anvil_reorg", [REORG_BLOCKS, [[raw, 1]]])
    await mine(1)
    await journey.put(encrypted)
    await journey.reaches(requestId, "submitted")
    const history = await finalizes(requestId)
    const moved = history.find(({ event }) => event.type === "moved")
    expect(moved?.event).toMatchObject({ anchor: { blockNumber: blockNumber + 1 } })
    expect(await journey.client.waitForResult(requestId)).toMatchObject({ items: [new Uint8Array(value)] })
    expect(await journey.fulfilments(requestId)).toHaveLength(1)
  })

  test("that takes back the transaction with the result brings the same bytes again", async () => {
    const { id } = await journey.publicRequest()
    const submitted = (await journey.reaches(id, "submitted")).at(-1)?.event
    await mine(1)
    const head = await journey.world.provider.getBlockNumber()
    const depth = head - (submitted?.type === "submitted" ? submitted.block.blockNumber : head) + 1
    await journey.world.provider.send("anvil_reorg", [depth, []])
    const history = await finalizes(id)
    expect(history.filter(({ to }) => to === "submitted").length).toBeGreaterThanOrEqual(1)
    expect(await journey.fulfilments(id)).toHaveLength(1)
  })
})
