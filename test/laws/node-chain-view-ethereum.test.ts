/** The real contracts on a real chain, as a KMS node sees them. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { Effect, Exit, Scope } from "effect"
import { Contract, type ContractTransactionResponse, Interface } from "ethers"
import { type Contracts } from "../../src/adapters/ethereum/addresses.ts"
import { deployPortcullis } from "../../src/adapters/ethereum/deploy.ts"
import * as accessList from "../../src/adapters/ethereum/generated/AccessList.ts"
import * as ciphertextRegistry from "../../src/adapters/ethereum/generated/CiphertextRegistry.ts"
import * as committeeRegistry from "../../src/adapters/ethereum/generated/CommitteeRegistry.ts"
import * as decryptionGateway from "../../src/adapters/ethereum/generated/DecryptionGateway.ts"
import { nodeChainViewLayer } from "../../src/adapters/ethereum/node-chain-view.layer.ts"
import { makeRpc, type Rpc } from "../../src/adapters/ethereum/rpc.ts"
import { startEngine } from "../../src/adapters/worker-threads/engine-choice.ts"
import type { Committee } from "../../src/domain/committee.ts"
import { handleOf } from "../../src/domain/handle.ts"
import { fromHex, type Hex, lower, toHex } from "../../src/domain/hex.ts"
import { type DecryptionRequest, requestIdOf, ZERO_ADDRESS } from "../../src/domain/request.ts"
import { attestationDigest, responseLeaf, resultHashOf } from "../../src/domain/response.ts"
import { NATIVE_SUITE_ID } from "../../src/kms-node/epoch-keys.ts"
import { NodeChainView, type NodeFinalityPolicy } from "../../src/kms-node/node-chain-view.port.ts"
import { combineAttestation, makeAttestationShare } from "../../src/threshold/attest.ts"
import { dealKey, type DealtKey } from "../../src/threshold/deal.ts"
import type { Bls12381Engine } from "../../src/threshold/engine.ts"
import { encodeResult } from "../../src/threshold/result-encoding.ts"
import { readCommitteeKeys } from "../../src/threshold/shared-key.ts"
import { startTestChain, type TestChain } from "../support/anvil.ts"
import { type ChainWorld, REQUEST_LIFETIME_SECONDS, type View } from "../support/chain-world.ts"
import { nodeChainViewLaws } from "./node-chain-view.laws.ts"

/** One node that is a whole committee: who fulfils a request here needs its attestation. */
const dealOne = (
  engine: Bls12381Engine
): { readonly committee: Omit<Committee, "epoch" | "isRetired">; readonly attestation: DealtKey } => {
  const [decryption, attestation] = [dealKey(engine, { threshold: 1, nodes: 1 }), dealKey(engine, { threshold: 1, nodes: 1 })]
  const node = {
    id: 1,
    identity: toHex(randomBytes(20)),
    endpoint: "kms-1.example.org:7443",
    decryptionKey: toHex(decryption.verificationKeys[0]!),
    attestationKey: toHex(attestation.verificationKeys[0]!)
  }
  return {
    committee: {
      suiteId: NATIVE_SUITE_ID,
      threshold: 1,
      nodes: [node],
      decryptionKey: toHex(decryption.publicKey),
      attestationKey: toHex(attestation.publicKey),
      scheme: "bls"
    },
    attestation
  }
}

const attest = (engine: Bls12381Engine, committee: Committee, key: DealtKey, request: DecryptionRequest, result: Uint8Array) => {
  const requestId = requestIdOf(request)
  const attested = { root: responseLeaf(requestId, resultHashOf(result)), count: 1, epoch: 1, expiry: request.deadline }
  const digest = fromHex(attestationDigest(request, attested))
  const share = makeAttestationShare(engine, key.shares[0]!.secret, digest)
  const combined = combineAttestation(engine, readCommitteeKeys(engine, committee).attestation, digest, [{ nodeId: 1, share }])
  assert("attestation" in combined, "an honest committee attests")
  return [attested, combined.attestation.forChain, [{ requestId, result }]] as const
}

const viewOf = (rpc: Rpc, contracts: Contracts, policy: NodeFinalityPolicy): Promise<View> =>
  Effect.runPromise(NodeChainView.pipe(Effect.provide(nodeChainViewLayer(rpc, contracts, policy))))

const openWorld = async (chain: TestChain, rpc: Rpc): Promise<ChainWorld> => {
  const engine = await startEngine("mcl")
  const { committee: dealt, attestation } = dealOne(engine)
  const { addresses, blockNumber } = await deployPortcullis(chain.account(0), dealt)
  const committee: Committee = { ...dealt, epoch: 1, isRetired: false }
  const contracts: Contracts = { chainId: BigInt(chain.chainId), ...addresses, startBlock: blockNumber }
  const [owner, requester] = [chain.account(0), chain.account(1)]
  const [ownerAddress, requesterAddress] = [lower(chain.address(0)), lower(chain.address(1))]
  const at = (address: Hex, abi: ConstructorParameters<typeof Interface>[0]) => new Contract(address, abi, owner)
  const gateway = at(addresses.decryptionGateway, decryptionGateway.abi).connect(requester) as Contract
  const [registry, access, committees] = [
    at(addresses.ciphertextRegistry, ciphertextRegistry.abi),
    at(addresses.accessList, accessList.abi),
    at(addresses.committeeRegistry, committeeRegistry.abi)
  ]
  const send = async (contract: Contract, method: string, ...values: ReadonlyArray<unknown>) => {
    const receipt = await chain.mined(contract.getFunction(method)(...values) as Promise<ContractTransactionResponse>)
    assert(receipt.status === 1, `${method} reverted`)
  }
  const now = async () => (await chain.provider.getBlock("latest"))!.timestamp
  const common = async () => ({
    chainId: BigInt(chain.chainId),
    gateway: addresses.decryptionGateway,
    requester: requesterAddress,
    epoch: 1,
    deadline: (await now()) + REQUEST_LIFETIME_SECONDS,
    callbackGas: 0,
    salt: toHex(randomBytes(32))
  })
  const handleFor = (salt: Hex) =>
    handleOf({ chainId: BigInt(chain.chainId), registry: addresses.ciphertextRegistry, owner: ownerAddress, salt })
  return {
    view: await viewOf(rpc, contracts, { type: "latest" }),
    settledView: await viewOf(rpc, contracts, { type: "confirmations", blocks: 2 }),
    committee,
    owner: ownerAddress,
    requester: requesterAddress,
    handleFor,
    register: async (salt, digest, sizeBytes) => {
      await send(registry, "register", salt, digest, sizeBytes, 1, ["store://test/a"])
      return handleFor(salt)
    },
    allowPublic: (handle) => send(access, "allowForDecryption", handle),
    allow: (handle, account) => send(access, "allow", handle, account),
    requestPublic: async (handles) => {
      const facts = await common()
      await send(gateway, "requestPublic", handles, facts.deadline, 0, facts.salt)
      return { ...facts, kind: "public", account: ZERO_ADDRESS, handles, transportKey: "0x" }
    },
    requestUser: async ({ handles, account = requesterAddress, transportKey }) => {
      const facts = await common()
      await send(gateway, "requestUser", handles, account, transportKey, facts.deadline, facts.salt)
      return { ...facts, kind: "user", account, handles, transportKey }
    },
    fulfil: (request) =>
      send(gateway, "fulfilBatch", ...attest(engine, committee, attestation, request, encodeResult([new Uint8Array(4)]))),
    retireEpoch: () => send(committees, "retire", 1),
    mine: async (blocks) => void (await chain.rpc("anvil_mine", `0x${blocks.toString(16)}`)),
    pass: async (seconds) => {
      await chain.rpc("evm_increaseTime", seconds)
      await chain.rpc("evm_mine")
    }
  }
}

nodeChainViewLaws("the contracts on anvil", async () => {
  const chain = await startTestChain()
  const scope = await Effect.runPromise(Scope.make())
  const rpc = await Effect.runPromise(Scope.provide(makeRpc(chain.url, BigInt(chain.chainId)), scope))
  return {
    world: await openWorld(chain, rpc),
    close: async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      await chain.stop()
    }
  }
})
