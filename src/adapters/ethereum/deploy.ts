/**
 * Deploys the contracts and registers the first committee. The order of deployment fixes every address before anything is
 * mined, so the transactions are sent one behind the other and waited for together.
 */
import assert from "node:assert/strict"
import { AbiCoder, concat, getCreateAddress, Interface, type Signer } from "ethers"

import type { Committee } from "../../domain/committee.ts"
import { fromHex, lower, type Hex } from "../../domain/hex.ts"
import { g2ForChain } from "./eip2537.ts"
import * as accessList from "./generated/AccessList.ts"
import * as blsVerifier from "./generated/BlsVerifier.ts"
import * as ciphertextRegistry from "./generated/CiphertextRegistry.ts"
import * as committeeRegistry from "./generated/CommitteeRegistry.ts"
import * as decryptionGateway from "./generated/DecryptionGateway.ts"
import * as quorumVerifier from "./generated/QuorumVerifier.ts"

/** Lower-case addresses. */
export interface PortcullisAddresses {
  readonly ciphertextRegistry: Hex
  readonly accessList: Hex
  readonly committeeRegistry: Hex
  readonly blsVerifier: Hex
  readonly quorumVerifier: Hex
  readonly decryptionGateway: Hex
}

/** What is registered of a committee; the epoch is the registry's to give. */
export type NewCommittee = Omit<Committee, "epoch" | "isRetired">

export interface Deployment {
  readonly addresses: PortcullisAddresses
  /** Of the committee that was registered. */
  readonly epoch: number
  /** Block in which the last transaction was mined: nothing to detect before it. */
  readonly blockNumber: number
}

/** The argument of `CommitteeRegistry.register`. */
export const committeeForChain = (committee: NewCommittee, verifier: Hex) => ({
  suite: committee.suiteId,
  threshold: committee.threshold,
  verifier,
  decryptionKey: committee.decryptionKey,
  attestationKey: g2ForChain(fromHex(committee.attestationKey)),
  attestationKeyCompressed: committee.attestationKey,
  nodes: committee.nodes.map((node, index) => {
    assert(node.id === index + 1, "node i stands at index i - 1")
    return {
      identity: node.identity,
      decryptionVerificationKey: node.decryptionKey,
      attestationVerificationKey: node.attestationKey,
      endpoint: node.endpoint
    }
  })
})

/** `signer` pays and becomes the committee registry's owner. Rejects with what ethers says when a transaction fails. */
export const deployPortcullis = async (signer: Signer, committee: NewCommittee): Promise<Deployment> => {
  assert(signer.provider, "the signer is connected to a chain")
  const owner = await signer.getAddress()
  const nonce = await signer.getNonce("pending")
  const addressOf = (index: number): Hex => lower(getCreateAddress({ from: owner, nonce: nonce + index }))
  const addresses: PortcullisAddresses = {
    ciphertextRegistry: addressOf(0),
    accessList: addressOf(1),
    committeeRegistry: addressOf(2),
    blsVerifier: addressOf(3),
    quorumVerifier: addressOf(4),
    decryptionGateway: addressOf(5)
  }
  const creations: ReadonlyArray<readonly [bytecode: string, constructorArguments: ReadonlyArray<string>]> = [
    [ciphertextRegistry.bytecode, []],
    [accessList.bytecode, [addresses.ciphertextRegistry]],
    [committeeRegistry.bytecode, [owner]],
    [blsVerifier.bytecode, [addresses.committeeRegistry]],
    [quorumVerifier.bytecode, [addresses.committeeRegistry]],
    [decryptionGateway.bytecode, [addresses.committeeRegistry, addresses.ciphertextRegistry, addresses.accessList]]
  ]
  const verifier = committee.scheme === "bls" ? addresses.blsVerifier : addresses.quorumVerifier
  const registration = new Interface(committeeRegistry.abi).encodeFunctionData("register", [
    committeeForChain(committee, verifier)
  ])

  // Gas is named, not estimated: an estimate would run against a state in which the contracts before it do not exist yet.
  const sent = []
  for (const [index, [bytecode, values]] of creations.entries()) {
    const data = concat([bytecode, AbiCoder.defaultAbiCoder().encode(values.map(() => "address"), values)])
    sent.push(await signer.sendTransaction({ data, nonce: nonce + index, gasLimit: CREATION_GAS_MAX }))
  }
  const to = addresses.committeeRegistry
  const after = nonce + creations.length
  sent.push(await signer.sendTransaction({ to, data: registration, nonce: after, gasLimit: REGISTRATION_GAS_MAX }))
  const receipts = await Promise.all(sent.map((transaction) => transaction.wait()))
  const last = receipts.at(-1)
  assert(last, "a transaction that was waited for has a receipt")
  return { addresses, epoch: 1, blockNumber: last.blockNumber }
}

/** The gateway needs about 2.8 million. */
const CREATION_GAS_MAX = 5_000_000n
/** 32 nodes with the longest endpoints need about 5 million. */
const REGISTRATION_GAS_MAX = 8_000_000n
