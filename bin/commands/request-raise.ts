/** `portcullis request public` and `request user`: raise a request, and with --wait say what became of it. */
import { Effect } from "effect"
import { TransportSecret, type Waited } from "../../src/client/portcullis-client.ts"
import { parseHex } from "../../src/domain/hex.ts"
import { openClient, withWallet, type Access, type SigningFlags } from "../client-access.ts"
import { writeTransportFile } from "../key-file.ts"
import { plaintextJson, shownPlaintext } from "../plaintext.ts"
import { attempt, runCommand, usage, type Answer } from "../run-command.ts"

export interface RaiseFlags extends SigningFlags {
  readonly deadline: number
  readonly wait?: true
  readonly timeout: number
}

export interface RaisePublicFlags extends RaiseFlags {
  readonly callbackGas: number
}

export interface RaiseUserFlags extends RaiseFlags {
  readonly account?: string
  readonly transportFile: string
}

export const requestPublic = (handles: ReadonlyArray<string>, flags: RaisePublicFlags): Promise<void> =>
  runCommand(flags, publicAnswer(handles, flags))

export const requestUser = (handles: ReadonlyArray<string>, flags: RaiseUserFlags): Promise<void> => runCommand(flags, userAnswer(handles, flags))

const publicAnswer = Effect.fnUntraced(function* (handles: ReadonlyArray<string>, flags: RaisePublicFlags) {
  const access = yield* ready(handles, flags)
  const { client } = access
  const asked = yield* attempt(() => client.requestPublic(handles, { deadlineSeconds: flags.deadline, callbackGas: flags.callbackGas }))
  const raised = raisedAnswer("public", asked)
  if (flags.wait !== true) return joined(raised, nextAnswer(`portcullis request watch ${asked.requestId}`))
  const became = yield* becameOf(access, asked.requestId, flags.timeout)
  return joined(raised, becameAnswer(became, "public", asked.requestId))
})

const userAnswer = Effect.fnUntraced(function* (handles: ReadonlyArray<string>, flags: RaiseUserFlags) {
  if (flags.account !== undefined && parseHex(flags.account, 20) === undefined) {
    return yield* usage("--account must be an address: 0x and 40 hex digits")
  }
  const access = yield* ready(handles, flags)
  const { client } = access
  const transport = TransportSecret.generate()
  yield* attempt(() => writeTransportFile(flags.transportFile, transport))
  const { account } = flags
  const options = { deadlineSeconds: flags.deadline, transport, ...(account === undefined ? {} : { account }) }
  const asked = yield* attempt(() => client.requestUser(handles, options)).pipe(Effect.ensuring(Effect.sync(() => transport.destroy())))
  const raised = joined(raisedAnswer("user", asked), {
    json: { transportFile: flags.transportFile },
    lines: [`transport  kept in ${flags.transportFile} (mode 0600): whoever has it can open the result`]
  })
  const open = nextAnswer(`portcullis request open ${asked.requestId} --transport-file ${flags.transportFile}`)
  if (flags.wait !== true) return joined(raised, open)
  const became = becameAnswer(yield* becameOf(access, asked.requestId, flags.timeout), "user", asked.requestId)
  return joined(raised, became.exitCode === 1 ? became : joined(became, open))
})

const ready = Effect.fnUntraced(function* (handles: ReadonlyArray<string>, flags: RaiseFlags) {
  if (handles.some((handle) => parseHex(handle, 32) === undefined)) return yield* usage("a handle is 0x and 64 hex digits")
  const access = yield* openClient(flags)
  yield* withWallet(access)
  return access
})

const becameOf = ({ client }: Access, requestId: string, timeoutSeconds: number): Effect.Effect<Waited, unknown> =>
  attempt(() => client.waitForResult(requestId, { timeoutMs: timeoutSeconds * 1_000, pollMs: 250 }))

const raisedAnswer = (
  kind: "public" | "user",
  asked: { readonly requestId: string; readonly txHash: string; readonly blockNumber: number }
): Answer => ({
  json: { requestId: asked.requestId, kind, txHash: asked.txHash, blockNumber: asked.blockNumber },
  lines: [`request    ${asked.requestId}`, `raised in  block ${asked.blockNumber}, tx ${asked.txHash}`]
})

const nextAnswer = (step: string): Answer => ({ json: { next: step }, lines: [`next       ${step}`] })

/** What the chain says has become of it. Only a result is a success. */
export const becameAnswer = (became: Waited, kind: "public" | "user", requestId: string): Answer => {
  switch (became.type) {
    case "fulfilled": {
      const { txHash, blockNumber, items } = became
      const results = kind === "public" ? { plaintexts: items.map(plaintextJson) } : {}
      return {
        json: { outcome: "fulfilled", fulfilledBy: { txHash, blockNumber }, ...results },
        lines: [
          `fulfilled  in block ${blockNumber}, tx ${txHash}`,
          ...(kind === "public" ? items.map((item) => `plaintext  ${shownPlaintext(item)}`) : [])
        ]
      }
    }
    case "expired":
      return { json: { outcome: "expired", denial: became.denial ?? null }, lines: [`expired    its deadline passed${objection(became)}`], exitCode: 1 }
    case "timed-out": {
      const known = became.isKnown ? "no result yet" : "the chain does not know this request"
      const lines = [`waiting    ${known}${objection(became)}; portcullis request watch ${requestId}`]
      return { json: { outcome: "waiting", isKnown: became.isKnown, denial: became.denial ?? null }, lines, exitCode: 1 }
    }
  }
}

const objection = ({ denial }: { readonly denial: string | undefined }): string => (denial === undefined ? "" : ` (the contracts say: ${denial})`)

const joined = (first: Answer, then: Answer): Answer => ({
  lines: [...first.lines, ...then.lines],
  json: { ...(first.json as object), ...(then.json as object) },
  exitCode: then.exitCode ?? 0
})
