/**
 * A chain with Portcullis on it and a committee whose nodes the test plays: it answers requests as the real nodes and gateway
 * would.
 */
import { randomBytes } from "node:crypto"
import { Contract, SigningKey, Wallet } from "ethers"
import { deployPortcullis, type NewCommittee, type PortcullisAddresses } from "../../src/adapters/ethereum/deploy.ts"
import { abi as gatewayAbi } from "../../src/adapters/ethereum/generated/DecryptionGateway.ts"
import { combinerJobs } from "../../src/adapters/worker-threads/combine-job.ts"
import { connect, type PortcullisClient } from "../../src/client/portcullis-client.ts"
import { gatewayInterface } from "../../src/client/deployment.ts"
import { findRequest } from "../../src/client/request-facts.ts"
import type { Committee } from "../../src/domain/committee.ts"
import { keccakText } from "../../src/domain/abi-words.ts"
import { fromHex, lower, toHex, type Hex } from "../../src/domain/hex.ts"
import type { DecryptionRequest } from "../../src/domain/request.ts"
import { attestationDigest, responseLeaf, resultHashOf, type AttestedRoot } from "../../src/domain/response.ts"
import { makeAttestationShare } from "../../src/threshold/attest.ts"
import { dealKey } from "../../src/threshold/deal.ts"
import { hashIdentity, identityBytes } from "../../src/threshold/identity.ts"
import { merkleRoot } from "../../src/threshold/merkle.ts"
import { nobleEngine as engine } from "../../src/threshold/noble-engine.ts"
import { makeShare } from "../../src/threshold/share.ts"
import { makeEncryptedShare, readTransportKey } from "../../src/threshold/transport.ts"
import { startTestChain, type TestChain } from "../support/anvil.ts"

/** Nobody's account in the tests: it only carries results to the chain. */
const RELAYER = 9

export interface CommitteeWorld {
  readonly chain: TestChain
  readonly addresses: PortcullisAddresses
  readonly committee: Committee
  readonly clientOf: (account: number) => Promise<PortcullisClient>
  /** The right result of a request: k nodes' shares, combined. Needs the ciphertexts of a public request. */
  readonly resultOf: (requestId: Hex, ciphertexts: ReadonlyArray<Uint8Array>) => Promise<Uint8Array>
  /** Attests results, true or not, as k nodes would, and brings them on chain in one transaction. */
  readonly fulfil: (responses: ReadonlyArray<{ readonly requestId: Hex; readonly result: Uint8Array }>) => Promise<Hex>
  readonly answer: (requestId: Hex, ciphertexts?: ReadonlyArray<Uint8Array>) => Promise<Hex>
  readonly stop: () => Promise<void>
}

export const startCommitteeWorld = async (scheme: "bls" | "quorum" = "bls"): Promise<CommitteeWorld> => {
  const chain = await startTestChain()
  const [threshold, nodes] = [2, 3]
  const decryption = dealKey(engine, { threshold, nodes })
  const attestation = dealKey(engine, { threshold, nodes })
  const identities = Array.from({ length: nodes }, () => new SigningKey(randomBytes(32)))
  const record: NewCommittee = {
    suiteId: keccakText("portcullis/native/bls12-381/v1"),
    threshold,
    scheme,
    decryptionKey: toHex(decryption.publicKey),
    attestationKey: toHex(attestation.publicKey),
    nodes: identities.map((identity, index) => ({
      id: index + 1,
      identity: lower(new Wallet(identity).address),
      endpoint: `127.0.0.1:${7_001 + index}`,
      decryptionKey: toHex(decryption.verificationKeys[index]!),
      attestationKey: toHex(attestation.verificationKeys[index]!)
    }))
  }
  const { addresses, epoch } = await deployPortcullis(chain.account(0), record)
  const committee: Committee = { ...record, epoch, isRetired: false }
  const gateway = new Contract(addresses.decryptionGateway, gatewayAbi, chain.account(RELAYER))
  const run = combinerJobs(engine)
  const chainId = BigInt(chain.chainId)

  const sharesOf = (node: number, requestId: Hex, request: DecryptionRequest) =>
    request.handles.map((handle) => {
      const secret = decryption.shares[node - 1]!.secret
      const identity = identityBytes({ chainId, registry: fromHex(addresses.ciphertextRegistry), handle: fromHex(handle) })
      const hashed = hashIdentity(engine, decryption.publicKey, identity)
      if (request.kind === "public") return makeShare(engine, secret, hashed)
      const transportKey = readTransportKey(engine, fromHex(request.transportKey))
      return makeEncryptedShare(engine, { hashed, transportKey, secret, requestId: fromHex(requestId), handle: fromHex(handle) })
    })

  const factsOf = async (requestId: Hex) => {
    const deployment = { chainId, provider: chain.provider, addresses: { gateway: addresses.decryptionGateway } }
    const { facts } = await findRequest(deployment as unknown as Parameters<typeof findRequest>[0], requestId, 0)
    return facts
  }

  const resultOf: CommitteeWorld["resultOf"] = async (requestId, ciphertexts) => {
    const request = await factsOf(requestId)
    const answers = [3, 1].map((nodeId) => ({ nodeId, shares: sharesOf(nodeId, requestId, request) }))
    const task = {
      requestId,
      request,
      registry: addresses.ciphertextRegistry,
      answers,
      ciphertexts: request.kind === "public" ? ciphertexts : []
    }
    const combined = run({ type: "combine", committee, tasks: [task] })
    if (!Array.isArray(combined) || !("result" in combined[0])) throw new Error(`not combined: ${JSON.stringify(combined)}`)
    return combined[0].result as Uint8Array
  }

  const attest = (digest: Hex): Uint8Array => {
    if (scheme === "quorum") {
      const signers = identities.slice(0, threshold).map((key) => ({ key, address: lower(new Wallet(key).address) }))
      const ordered = signers.toSorted((left, right) => (left.address < right.address ? -1 : 1))
      return new Uint8Array(Buffer.concat(ordered.map(({ key }) => fromHex(key.sign(digest).serialized))))
    }
    const parts = [1, 2].map((nodeId) => ({
      nodeId,
      part: makeAttestationShare(engine, attestation.shares[nodeId - 1]!.secret, fromHex(digest))
    }))
    const combined = run({ type: "attest", committee, digest, parts })
    if (!("attestation" in combined)) throw new Error("not attested")
    return combined.attestation
  }

  const fulfil: CommitteeWorld["fulfil"] = async (responses) => {
    const leaves = responses.map(({ requestId, result }) => fromHex(responseLeaf(requestId, resultHashOf(result))))
    const { timestamp } = (await chain.provider.getBlock("latest"))!
    const attested: AttestedRoot = { root: toHex(merkleRoot(leaves)), count: responses.length, epoch, expiry: timestamp + 3_600 }
    const signature = attest(attestationDigest({ chainId, gateway: addresses.decryptionGateway }, attested))
    const [first] = responses
    const sent =
      responses.length === 1
        ? gateway.getFunction("fulfil")(attested, signature, first, [])
        : gateway.getFunction("fulfilBatch")(attested, signature, responses)
    return lower((await chain.mined(sent)).hash)
  }

  return {
    chain,
    addresses,
    committee,
    clientOf: (account) => connect({ signer: chain.account(account), gateway: addresses.decryptionGateway }),
    resultOf,
    fulfil,
    answer: async (requestId, ciphertexts = []) => fulfil([{ requestId, result: await resultOf(requestId, ciphertexts) }]),
    stop: chain.stop
  }
}

/** Answers every request that is raised from now on, like a gateway; ciphertexts are looked up by handle. */
export const answerAll = async (
  world: CommitteeWorld,
  ciphertextOf: (handle: Hex) => Promise<Uint8Array>
): Promise<() => Promise<void>> => {
  const gateway = new Contract(world.addresses.decryptionGateway, gatewayAbi, world.chain.provider)
  const running: Array<Promise<unknown>> = []
  await gateway.on("DecryptionRequested", (...args: ReadonlyArray<unknown>) => {
    const { log } = args.at(-1) as { readonly log: Parameters<typeof gatewayInterface.parseLog>[0] }
    const { requestId, handles } = gatewayInterface.parseLog(log)!.args as unknown as {
      requestId: string
      handles: Iterable<string>
    }
    running.push(
      Promise.all([...handles].map((handle) => ciphertextOf(lower(handle)))).then((bytes) =>
        world.answer(lower(requestId), bytes)
      )
    )
  })
  return async () => {
    await gateway.removeAllListeners()
    await Promise.all(running)
  }
}
