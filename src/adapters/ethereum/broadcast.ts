/** Offers signed bytes to one endpoint, and reads what its answer means; and what several such answers mean together. */
import { Effect, Result } from "effect"
import { isError, keccak256, Transaction } from "ethers"
import { lower, type Hex } from "../../domain/hex.ts"
import { ZERO_ADDRESS } from "../../domain/request.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import { type Broadcast, LaneOutOfFunds } from "../../journey/6-submitted/result-contract.port.ts"
import { unavailable } from "./unavailable.ts"

export const OFFER = "eth_sendRawTransaction"

/** Fails with whatever the wire failed with. */
export type RawSend = (method: string, params: ReadonlyArray<unknown>) => Effect.Effect<unknown, unknown>

export type Offered = Effect.Effect<Broadcast, ChainUnavailable | LaneOutOfFunds>

export const hashOf = (rawTx: Hex): Hex => lower(keccak256(rawTx))

export const offerTo = (send: RawSend, rawTx: Hex): Offered =>
  send(OFFER, [rawTx]).pipe(
    Effect.matchEffect({
      onSuccess: (answer) => acknowledged(answer, rawTx),
      onFailure: (cause) => broadcastFailure(cause, rawTx)
    })
  )

/** Whoever took the transaction knows its hash. */
const acknowledged = (answer: unknown, rawTx: Hex): Effect.Effect<Broadcast, ChainUnavailable> =>
  typeof answer === "string" && answer.toLowerCase() === hashOf(rawTx)
    ? Effect.succeed("accepted")
    : Effect.fail(new ChainUnavailable({ doing: OFFER, cause: "not the transaction's hash" }))

/**
 * geth's and anvil's sentences where ethers has no code for them. "already known" is what a second broadcast of the same bytes
 * gets, "less than block base fee" what a transaction gets whose fees the chain has outrun: it, too, has to pay more.
 */
const broadcastFailure = (cause: unknown, rawTx: Hex): Offered => {
  const outOfFunds = () => new LaneOutOfFunds({ address: lower(Transaction.from(rawTx).from ?? ZERO_ADDRESS) })
  if (isError(cause, "NONCE_EXPIRED")) return Effect.succeed("nonce-used")
  if (isError(cause, "REPLACEMENT_UNDERPRICED")) return Effect.succeed("underpriced")
  if (isError(cause, "INSUFFICIENT_FUNDS")) return Effect.fail(outOfFunds())
  const said = (cause as { readonly error?: { readonly message?: string } }).error?.message ?? ""
  if (/already (?:known|imported)/i.test(said)) return Effect.succeed("accepted")
  if (/nonce too low/i.test(said)) return Effect.succeed("nonce-used")
  if (/underpriced|less than block base fee/i.test(said)) return Effect.succeed("underpriced")
  if (/insufficient funds/i.test(said)) return Effect.fail(outOfFunds())
  return Effect.fail(cause instanceof ChainUnavailable ? cause : unavailable(OFFER, cause))
}

type Answer = Result.Result<Broadcast, ChainUnavailable | LaneOutOfFunds>

/** Least to most useful. A nonce that one endpoint calls used has to be looked into before anybody pays more or looks for money. */
const WEIGHT = (answer: Answer): number =>
  Result.isSuccess(answer)
    ? { underpriced: 2, "nonce-used": 3, accepted: 4 }[answer.success]
    : answer.failure._tag === "LaneOutOfFunds" ? 1 : 0

/** The most useful of what several endpoints answered: any acceptance is one, whatever the others say. */
export const together = (answers: ReadonlyArray<Answer>): Answer => answers.toSorted((a, b) => WEIGHT(b) - WEIGHT(a))[0]!
