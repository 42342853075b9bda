/** What a request meets that cannot or must not succeed: the three kinds of "not" stay three. */
import { readFile, writeFile } from "node:fs/promises"
import { toQuantity } from "ethers"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { JourneyWorld, type RunningGateway } from "../support/journey.ts"

describe("a request that cannot or must not succeed", () => {
  let journey: JourneyWorld
  let gateway: RunningGateway
  beforeAll(async () => {
    journey = await JourneyWorld.start()
    gateway = await journey.gateway()
  })
  afterAll(async () => {
    await gateway?.stop()
    await journey?.stop()
  })

  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`${gateway.httpUrl}/metrics`)).text()
    return text
      .split("\n")
      .filter((line) => line.startsWith(name))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0)
  }

  test("is refused with the reason when the access list says no, counted, and no node is ever asked", async () => {
    const { encrypted } = await journey.value()
    const denialsBefore = await metric("gateway_acl_denials_total")
    const { requestId } = await journey.client.requestPublic([encrypted.handle])
    const history = await journey.reaches(requestId, "refused")
    expect(history.at(-1)?.event).toMatchObject({ type: "refused", reason: "not-public" })
    expect(await metric("gateway_acl_denials_total")).toBe(denialsBefore + 1)
    for (const id of [1, 2, 3]) {
      const log = await readFile(journey.world.kms.answerLog(id), "utf8").catch(() => "")
      expect(log).not.toContain(requestId.slice(2))
    }
    expect(await journey.fulfilments(requestId)).toEqual([])
  })

  test("of a user whom the owner did not allow is refused as not allowed", async () => {
    const { encrypted } = await journey.value()
    const stranger = "0x00000000000000000000000000000000000000aa"
    const { requestId } = await journey.client.requestUser([encrypted.handle], { account: stranger })
    const history = await journey.reaches(requestId, "refused")
    expect(history.at(-1)?.event).toMatchObject({ reason: "not-delegated" })
  })

  test("waits for a ciphertext that is missing, and succeeds once it is uploaded", async () => {
    const { value, encrypted } = await journey.value(undefined, { stored: false })
    await journey.client.allowForDecryption(encrypted.handle)
    const { requestId } = await journey.client.requestPublic([encrypted.handle])
    await journey.reaches(requestId, "acl-checked")
    await journey.put(encrypted)
    await journey.reaches(requestId, "finalized")
    const result = await journey.client.waitForResult(requestId)
    expect(result).toMatchObject({ type: "fulfilled", items: [new Uint8Array(value)] })
  })

  test("with a tampered ciphertext never reaches a node and expires, saying why", async () => {
    const { encrypted } = await journey.value()
    const spoiled = Uint8Array.from(encrypted.ciphertext)
    spoiled[spoiled.length - 1]! ^= 1
    
    await writeFile(`${journey.world.store.path}/${encrypted.digest.slice(2, 4)}/${encrypted.digest.slice(2)}.pct`, spoiled)
    await journey.client.allowForDecryption(encrypted.handle)
    const { requestId } = await journey.client.requestPublic([encrypted.handle], { deadlineSeconds: 8 })
    const history = await journey.reaches(requestId, "expired")
    expect(JSON.stringify(history.at(-1)?.event)).toContain("do not match the digest")
    const asks = await journey.query<{ readonly count: string }>("SELECT count(*) AS count FROM share_ask WHERE request_id NOT IN (SELECT request_id FROM request WHERE state = 'finalized')")
    expect(Number(asks[0]?.count)).toBe(0)
  })

  test("with a result that no transaction can carry expires alone: those that were attested with it are finalized", async () => {
    await gateway.stop()
    const dear = await journey.value()
    await journey.client.allowForDecryption(dear.encrypted.handle)
    const neighbours = [(await journey.publicRequest()).id, (await journey.publicRequest()).id]
    const { requestId } = await journey.client.requestPublic([dear.encrypted.handle], { callbackGas: 500_000, deadlineSeconds: 20 })
    const { provider } = journey.world
    const before = (await provider.getBlock("latest"))!.gasLimit
    await provider.send("evm_setBlockGasLimit", [toQuantity(600_000)])
    gateway = await journey.gateway()
    for (const id of neighbours) await journey.reaches(id, "finalized")
    const together = await journey.query("SELECT FROM result GROUP BY root HAVING count(*) = 3")
    expect(together, "all three stood in one batch").toHaveLength(1)
    await journey.reaches(requestId, "expired")
    for (const id of neighbours) expect(await journey.fulfilments(id)).toHaveLength(1)
    expect(await journey.fulfilments(requestId)).toEqual([])
    await provider.send("evm_setBlockGasLimit", [toQuantity(before)])
  })

  test("whose deadline has passed before anything could be done expires", async () => {
    await gateway.stop()
    const { id } = await journey.publicRequest({ deadlineSeconds: 2 })
    await journey.world.provider.send("evm_increaseTime", [10])
    await journey.world.provider.send("evm_mine", [])
    gateway = await journey.gateway()
    const history = await journey.reaches(id, "expired")
    expect(history.map(({ to }) => to)).not.toContain("shares-collected")
    expect(await journey.fulfilments(id)).toEqual([])
  })
})
