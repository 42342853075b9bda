/** The simulator's chain, held to what the contracts on a real one are held to: what is found on the one must be true of the other. */
import { decodeLaneTx } from "../../chaos/simulator/chain/sim-block.ts"
import { retired } from "../../chaos/simulator/chain/sim-contract.ts"
import { encodeElement } from "../../chaos/simulator/kms/stand-in-mathematics.ts"
import { toHex } from "../../src/domain/hex.ts"
import { requestIdOf } from "../../src/domain/request.ts"
import { RequestLog } from "../../src/journey/1-detected/request-log.port.ts"
import { AccessList, type FinalityPolicy } from "../../src/journey/2-acl-checked/access-list.port.ts"
import { ResultContract } from "../../src/journey/6-submitted/result-contract.port.ts"
import { random32, randomAddress } from "../support/ledger-world.ts"
import { LIFETIME_SECONDS, SimulatedChain } from "../support/simulated-chain.ts"
import { accessListLaws } from "./access-list.laws.ts"
import { requestLogLaws } from "./request-log.laws.ts"
import { resultContractLaws } from "./result-contract.laws.ts"

const TRANSPORT_KEY = toHex(encodeElement(7n, 48))

requestLogLaws("the request log of the simulator's chain", async () => {
  const world = new SimulatedChain()
  const several = async (count: number) => {
    const made = Array.from({ length: count }, () => world.factsOf()).map((facts) => ({ id: requestIdOf(facts), facts }))
    return { made, block: await world.send(...made.map((asked) => ({ type: "request" as const, ...asked }))) }
  }
  return {
    log: world.open(RequestLog, world.ports()),
    chainId: world.chainId,
    inOneBlock: several,
    // A transaction asks for one thing here; its logs stand in the block as those of several do.
    inOneTransaction: several,
    userRequest: async () => {
      const { block, ...made } = await world.requested({ kind: "user", account: randomAddress(), transportKey: TRANSPORT_KEY })
      return { made, block }
    },
    lookAlike: async () => (await world.requested({ gateway: randomAddress() })).block,
    mine: (blocks) => world.mine(blocks),
    reorganise: (depth) => world.reorganise(depth),
    close: async () => world.stop()
  }
})

accessListLaws("the access list of the simulator's chain", async () => {
  const world = new SimulatedChain()
  const stranger = randomAddress()
  const under = (policy: FinalityPolicy) => world.open(AccessList, world.ports({ policy }))
  return {
    lists: {
      latest: under({ type: "latest" }),
      confirmations: under({ type: "confirmations", blocks: 2 }),
      safe: under({ type: "safe" }),
      finalized: under({ type: "finalized" })
    },
    requester: world.requester,
    stranger,
    // Nothing of a handle stands on this chain but who may have it.
    register: async () => random32(),
    registerForeign: async () => random32(),
    allowPublic: (handle) => world.permit(`public ${handle}`, true),
    revokePublic: (handle) => world.permit(`public ${handle}`, false),
    allow: (handle, account) => world.permit(`${account} ${handle}`, true),
    requestPublic: (handle) => world.requested({ handles: [handle] }),
    requestUser: (handle, account) => world.requested({ handles: [handle], kind: "user", account, transportKey: TRANSPORT_KEY }),
    fulfil: (id) => world.fulfil(id),
    retireEpoch: () => world.permit(retired(world.committee.record.epoch), true),
    head: async () => world.at(world.head.number),
    mine: (blocks) => world.mine(blocks),
    pass: (seconds) => world.pass(seconds),
    reorganise: (depth) => world.reorganise(depth),
    lifetimeSeconds: LIFETIME_SECONDS,
    close: async () => world.stop()
  }
})

resultContractLaws("the gateway contract of the simulator's chain", async () => {
  const world = new SimulatedChain()
  const lanes = [randomAddress(), randomAddress()] as const
  const pauper = randomAddress()
  const options = { lanes, paupers: [pauper], policy: { type: "confirmations", blocks: 2 } } as const
  return {
    results: world.open(ResultContract, world.ports(options)),
    chainId: world.chainId,
    gateway: world.gateway,
    lanes,
    pauper,
    request: async () => (await world.requested()).id,
    batchOf: (ids, change) => world.batchOf(ids, change),
    now: async () => world.head.timestamp,
    read: (rawTx) => {
      const { hash, from, to, nonce, chainId, gasLimit, fees, fulfilment } = decodeLaneTx(rawTx)
      return { txHash: hash, from, to, nonce, chainId, gasLimit, fees, isEmpty: fulfilment === undefined }
    },
    withoutMining: (run) => world.withoutMining(run),
    mine: (blocks) => world.mine(blocks),
    withBlocksOf: async (gas, run) => {
      const { chain } = world
      const before = chain.gasPerBlock
      chain.gasPerBlock = gas
      await run().finally(() => (chain.gasPerBlock = before))
    },
    reorganise: (depth) => world.reorganise(depth),
    offline: async () => world.open(ResultContract, world.ports({ ...options, isDown: true })),
    close: async () => world.stop()
  }
})
