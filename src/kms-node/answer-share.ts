/**
 * A node's shares for one request. In this order, and nothing later without everything earlier: the form, the chain's yes, the
 * keys of its epoch, the shares, the signature, the log. A denied request costs one question to the chain and no curve operation.
 */
import { Clock, Effect } from "effect"
import { keccak } from "../domain/abi-words.ts"
import { fromHex } from "../domain/hex.ts"
import type { DecryptionRequest } from "../domain/request.ts"
import { shareAnswerDigest } from "../domain/response.ts"
import type { ShareAnswer } from "../domain/share.ts"
import type { Bls12381Engine, G1Point } from "../threshold/engine.ts"
import { hashIdentity, identityBytes } from "../threshold/identity.ts"
import { makeShare } from "../threshold/share.ts"
import { makeEncryptedShare } from "../threshold/transport.ts"
import { AnswerLog } from "./answer-log.port.ts"
import type { EpochKeys, epochKeys } from "./epoch-keys.ts"
import { NodeChainView } from "./node-chain-view.port.ts"
import { permit } from "./permit.ts"
import { ShareVault } from "./share-vault.port.ts"
import { readUserKey } from "./user-key.ts"

/** The same bytes for the same request, always (protocol.md section 5). Lets other work run between two handles. */
const deriveShares = Effect.fnUntraced(function* (
  engine: Bls12381Engine,
  keys: EpochKeys,
  request: DecryptionRequest,
  requestId: Uint8Array,
  transportKey: G1Point | undefined
) {
  const chain = yield* NodeChainView
  const secret = keys.secrets.decryption
  return yield* Effect.forEach(request.handles, (hex, index) =>
    Effect.gen(function* () {
      if (index > 0) yield* Effect.yieldNow
      const handle = fromHex(hex)
      const identity = identityBytes({ chainId: chain.chainId, registry: fromHex(chain.registry), handle })
      const hashed = hashIdentity(engine, keys.decryption.publicKey.bytes, identity)
      return transportKey === undefined
        ? makeShare(engine, secret, hashed)
        : makeEncryptedShare(engine, { secret, hashed, transportKey, requestId, handle })
    })
  )
})

export const answerShare = (engine: Bls12381Engine, keysOf: ReturnType<typeof epochKeys>) =>
  Effect.fnUntraced(function* (request: DecryptionRequest, caller: string) {
    const { requestId } = yield* permit(request)
    const keys = yield* keysOf(request.epoch)
    const transportKey = request.kind === "user" ? yield* readUserKey(engine, request) : undefined
    const [vault, log] = [yield* ShareVault, yield* AnswerLog]
    const shares = yield* deriveShares(engine, keys, request, fromHex(requestId), transportKey)
    const unsigned = { requestId, epoch: request.epoch, nodeId: vault.nodeId, shares }
    const signature = vault.signDigest(shareAnswerDigest(request, unsigned))
    yield* log.record({
      type: "share",
      atMs: yield* Clock.currentTimeMillis,
      caller,
      requestId,
      epoch: request.epoch,
      kind: request.kind,
      handles: request.handles.length,
      sharesHash: keccak(...shares)
    })
    return { ...unsigned, signature } satisfies ShareAnswer
  })
