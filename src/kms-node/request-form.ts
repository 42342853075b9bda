/** What a request must look like before anybody spends time on it. Everything here is free; what costs comes after it. */
import { HANDLES_PER_REQUEST_MAX } from "../domain/limits.ts"
import { type DecryptionRequest, ZERO_ADDRESS } from "../domain/request.ts"

const UINT32_MAX = 0xff_ff_ff_ff
const isUint32 = (value: number) => Number.isInteger(value) && value >= 0 && value <= UINT32_MAX
const byteLength = (hex: string) => (hex.length - 2) / 2
const TRANSPORT_KEY_BYTES = { public: 0, user: 48 } as const

/** What is wrong with its form; undefined when nothing is. Hex fields are hex already: the door that read them saw to that. */
export const formFault = (request: DecryptionRequest): string | undefined => {
  const { handles } = request
  if (byteLength(request.gateway) !== 20) return "the gateway is not an address"
  if (byteLength(request.requester) !== 20) return "the requester is not an address"
  if (byteLength(request.account) !== 20) return "the account is not an address"
  if (byteLength(request.salt) !== 32) return "the salt is not 32 bytes"
  if (!isUint32(request.epoch) || request.epoch === 0) return "an epoch is a uint32 from 1"
  if (!isUint32(request.callbackGas)) return "callback gas is a uint32"
  if (!Number.isSafeInteger(request.deadline) || request.deadline < 0) return "the deadline is not a time"
  if (handles.length === 0 || handles.length > HANDLES_PER_REQUEST_MAX)
    return `a request has 1..${HANDLES_PER_REQUEST_MAX} handles`
  if (handles.some((handle) => byteLength(handle) !== 32)) return "a handle is 32 bytes"
  if (new Set(handles).size !== handles.length) return "a handle stands twice"
  if ((request.kind === "public") !== (request.account === ZERO_ADDRESS)) return "user requests, and only they, name an account"
  if (byteLength(request.transportKey) !== TRANSPORT_KEY_BYTES[request.kind])
    return "user requests, and only they, bring a 48-byte transport key"
  return undefined
}
