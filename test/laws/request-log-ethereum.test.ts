/** The contracts on anvil, as the listener reads them. */
import { requestLogLayer } from "../../src/adapters/ethereum/request-log.layer.ts"
import { gatewayInterface } from "../../src/adapters/ethereum/inspection.ts"
import { requestIdOf } from "../../src/domain/request.ts"
import { RequestLog } from "../../src/journey/1-detected/request-log.port.ts"
import { A_TRANSPORT_KEY, EthereumWorld } from "../adapters/ethereum/ethereum-world.ts"
import { requestLogLaws } from "./request-log.laws.ts"

requestLogLaws("the request log of the contracts on anvil", async () => {
  const world = await EthereumWorld.start()
  const log = await world.open(RequestLog, requestLogLayer(await world.rpc(), world.contracts))
  const handles = [await world.register(), await world.register()]
  const several = (count: number) =>
    Promise.all(Array.from({ length: count }, (_, index) => world.factsOf(handles.slice(index % 2))))
  return {
    log,
    chainId: world.contracts.chainId,
    inOneBlock: async (count) => {
      const made = await several(count)
      const [sent] = await world.inOneBlock(made.map((asked) => () => world.ask(asked)))
      return { made, block: sent!.block }
    },
    inOneTransaction: async (count) => {
      const asked = await several(count)
      const calls = asked.map(({ facts }) =>
        gatewayInterface.encodeFunctionData("requestPublic", [facts.handles, facts.deadline, 0, facts.salt])
      )
      const { caller, sent } = await world.inOneTransaction(calls)
      const made = asked.map(({ facts }) => {
        const theirs = { ...facts, requester: caller }
        return { id: requestIdOf(theirs), facts: theirs }
      })
      return { made, block: sent.block }
    },
    userRequest: async () => {
      const user = { kind: "user", account: world.address(0), transportKey: A_TRANSPORT_KEY } as const
      const { id, facts, block } = await world.requested(handles, user)
      return { made: { id, facts }, block }
    },
    lookAlike: async () => {
      const impostor = await world.impostor()
      const asked = await world.factsOf(handles)
      return (await world.send(() => world.ask(asked, impostor))).block
    },
    mine: (blocks) => world.mine(blocks),
    reorganise: (depth) => world.reorganise(depth),
    close: () => world.stop()
  }
})
