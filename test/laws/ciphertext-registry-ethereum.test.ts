/** The registry contract on anvil, as `fetch-ciphertext` asks it. */
import { AbiCoder, concat } from "ethers"
import { ciphertextRegistryLayer } from "../../src/adapters/ethereum/ciphertext-registry.layer.ts"
import { handleOf } from "../../src/domain/handle.ts"
import { CiphertextRegistry } from "../../src/journey/3-ciphertext-fetched/ciphertext-registry.port.ts"
import { EthereumWorld } from "../adapters/ethereum/ethereum-world.ts"
import { ciphertextRegistryLaws } from "./ciphertext-registry.laws.ts"

ciphertextRegistryLaws("the registry contract on anvil", async () => {
  const world = await EthereumWorld.start()
  const { chainId, ciphertextRegistry } = world.contracts
  const registry = await world.open(CiphertextRegistry, ciphertextRegistryLayer(await world.rpc(), world.contracts))
  const owner = world.address(0)
  const { selector } = world.world.registry.interface.getFunction("register")!
  return {
    registry,
    owner,
    handleFor: (salt) => handleOf({ chainId, registry: ciphertextRegistry, owner, salt }),
    register: (salt, { digest, sizeBytes }, locations) => {
      // As bytes[]: what the ABI calls string[] is written the same way, and ethers would not send bytes that are no text.
      const types = ["bytes32", "bytes32", "uint32", "uint32", "bytes[]"]
      const data = concat([selector, AbiCoder.defaultAbiCoder().encode(types, [salt, digest, sizeBytes, 1, locations])])
      return world.send(() => world.world.chain.account(0).sendTransaction({ to: ciphertextRegistry, data }))
    },
    close: () => world.stop()
  }
})
