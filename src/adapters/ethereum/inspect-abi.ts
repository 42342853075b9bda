/**
 * `DecryptionGateway.inspect`, encoded and decoded by hand. It is asked five times for each public request (by the gateway
 * once, by two nodes twice), and ethers' general coder, which builds its parts anew for every call, took a quarter of a node's
 * time. A test holds both to the same bytes. Contract ABI specification, "Formal Specification of the Encoding".
 */
import { id } from "ethers"
import type { Hex } from "../../domain/hex.ts"
import { KIND_NUMBER, type DecryptionRequest } from "../../domain/request.ts"

const WORD_DIGITS = 64
const WORD_BYTES = 32
const SIGNATURE = "inspect((uint8,address,address,uint32,uint64,uint32,bytes32[],bytes,bytes32))"
const SELECTOR = id(SIGNATURE).slice(0, 10)
/** Members of the request struct; its two dynamic ones stand behind it, handles first. */
const HEAD_BYTES = 9 * WORD_BYTES

const uint = (value: number | bigint): string => value.toString(16).padStart(WORD_DIGITS, "0")
const left = (hex: Hex): string => hex.slice(2).padStart(WORD_DIGITS, "0")
const digits = (hex: Hex): string => hex.slice(2)

export const encodeInspect = (request: DecryptionRequest): Hex => {
  const { handles, transportKey } = request
  const keyDigits = digits(transportKey)
  const keyWords = Math.ceil(keyDigits.length / WORD_DIGITS)
  return [
    SELECTOR,
    uint(WORD_BYTES),
    uint(KIND_NUMBER[request.kind]),
    left(request.requester),
    left(request.account),
    uint(request.epoch),
    uint(request.deadline),
    uint(request.callbackGas),
    uint(HEAD_BYTES),
    uint(HEAD_BYTES + WORD_BYTES + handles.length * WORD_BYTES),
    digits(request.salt),
    uint(handles.length),
    ...handles.map(digits),
    uint(keyDigits.length / 2),
    keyDigits.padEnd(keyWords * WORD_DIGITS, "0")
  ].join("") as Hex
}

/** What the contract says, number for number. */
export interface RawInspection {
  readonly requestId: Hex
  readonly status: number
  /** Unix seconds. */
  readonly blockTimestamp: number
  readonly allowed: boolean
  readonly denial: number
  readonly digests: ReadonlyArray<Hex>
  readonly sizes: ReadonlyArray<number>
}

/** Throws a `TypeError` on anything but a whole, strict encoding in lower case. */
export const decodeInspection = (answer: Hex): RawInspection => {
  if ((answer.length - 2) % WORD_DIGITS !== 0) throw new TypeError("not whole words")
  const word = (index: number): string => {
    const from = 2 + index * WORD_DIGITS
    const found = answer.slice(from, from + WORD_DIGITS)
    if (found.length !== WORD_DIGITS) throw new TypeError("too short")
    return found
  }
  const number = (index: number): number => {
    const value = Number(`0x${word(index)}`)
    if (!Number.isSafeInteger(value)) throw new TypeError("a number out of range")
    return value
  }
  /** Of a byte offset that is stored at `index` and counted from word `base`. */
  const place = (index: number, base: number): number => {
    const offset = number(index)
    if (offset % WORD_BYTES !== 0) throw new TypeError("an offset between words")
    return base + offset / WORD_BYTES
  }
  const array = <A>(at: number, item: (index: number) => A): ReadonlyArray<A> => {
    const length = number(at)
    if (length * WORD_DIGITS > answer.length) throw new TypeError("an array longer than the answer")
    return Array.from({ length }, (_, index) => item(at + 1 + index))
  }
  const base = place(0, 0)
  const allowed = number(base + 3)
  if (allowed > 1) throw new TypeError("not a bool")
  return {
    requestId: `0x${word(base)}`,
    status: number(base + 1),
    blockTimestamp: number(base + 2),
    allowed: allowed === 1,
    denial: number(base + 4),
    digests: array(place(base + 5, base), (index) => `0x${word(index)}` as const),
    sizes: array(place(base + 6, base), number)
  }
}
