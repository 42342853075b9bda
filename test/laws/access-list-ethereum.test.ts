/** The contracts on anvil, as `check-acl` asks them. Slots have one block: safe is one block behind, finalized two. */
import { accessListLayer } from "../../src/adapters/ethereum/access-list.layer.ts"
import { AccessList, type FinalityPolicy } from "../../src/journey/2-acl-checked/access-list.port.ts"
import { A_TRANSPORT_KEY, EthereumWorld, LIFETIME_SECONDS } from "../adapters/ethereum/ethereum-world.ts"
import { accessListLaws } from "./access-list.laws.ts"

accessListLaws("the access list of the contracts on anvil", async () => {
  const world = await EthereumWorld.start()
  const rpc = await world.rpc()
  const under = (policy: FinalityPolicy) => world.open(AccessList, accessListLayer(rpc, world.contracts, policy))
  return {
    lists: {
      latest: await under({ type: "latest" }),
      confirmations: await under({ type: "confirmations", blocks: 2 }),
      safe: await under({ type: "safe" }),
      finalized: await under({ type: "finalized" })
    },
    requester: world.address(0),
    stranger: world.address(3),
    register: () => world.register(),
    registerForeign: () => world.world.registered(3),
    allowPublic: (handle) => world.allowPublic(handle),
    revokePublic: (handle) => world.revokePublic(handle),
    allow: (handle, account) => world.allow(handle, account),
    requestPublic: (handle) => world.requested([handle]),
    requestUser: (handle, account) => world.requested([handle], { kind: "user", account, transportKey: A_TRANSPORT_KEY }),
    fulfil: (id) => world.fulfil(id),
    retireEpoch: () => world.send(() => world.world.committees.getFunction("retire")(1)),
    head: () => world.head(),
    mine: (blocks) => world.mine(blocks),
    pass: (seconds) => world.pass(seconds),
    reorganise: (depth) => world.reorganise(depth),
    lifetimeSeconds: LIFETIME_SECONDS,
    close: () => world.stop()
  }
})
