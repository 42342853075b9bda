/** The committee registry on anvil, as those who collect shares ask it. */
import { committeesLayer } from "../../src/adapters/ethereum/committees.layer.ts"
import { committeeForChain, type NewCommittee } from "../../src/adapters/ethereum/deploy.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { Committees } from "../../src/journey/4-shares-collected/committee.port.ts"
import { EthereumWorld } from "../adapters/ethereum/ethereum-world.ts"
import { testCommittee } from "../contracts/world.ts"
import { committeesLaws } from "./committees.laws.ts"

committeesLaws("the committee registry on anvil", async () => {
  const world = await EthereumWorld.start("quorum")
  const { committees, deployment, keys } = world.world
  const { addresses } = deployment
  const rpc = await world.rpc()
  let epoch = deployment.epoch
  const register = async (committee: NewCommittee, verifier: Hex) => {
    await world.send(() => committees.getFunction("register")(committeeForChain(committee, verifier)))
    epoch += 1
    return { ...committee, epoch }
  }
  return {
    open: () => world.open(Committees, committeesLayer(rpc, world.contracts)),
    first: { ...keys.committee, epoch: 1 },
    register: (scheme, threshold, nodes, suiteId) => {
      const { committee } = testCommittee(scheme, threshold, nodes)
      const verifier = scheme === "bls" ? addresses.blsVerifier : addresses.quorumVerifier
      return register({ ...committee, suiteId: suiteId ?? committee.suiteId }, verifier)
    },
    registerWithoutVerifier: async () => (await register(testCommittee("quorum").committee, addresses.accessList)).epoch,
    retire: (retired) => world.send(() => committees.getFunction("retire")(retired)),
    close: () => world.stop()
  }
})
