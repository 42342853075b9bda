/** How values of the database become values of ours: bytes are 0x-hex, int8 is bigint; everything else as `pg` has it. */
import pg from "pg"
import type { Hex } from "../../domain/hex.ts"

const BYTEA = 17
const INT8 = 20
const BYTEA_ARRAY = 1001

/** `\x0a0b` as PostgreSQL writes it. */
export const hexOfBytea = (text: string): Hex => `0x${text.slice(2)}`

/** As a text parameter: cheaper than a Buffer, since it stands in arrays. */
export const byteaOfHex = (hex: Hex): string => `\\x${hex.slice(2)}`

/**
 * An array as a parameter, of texts without control characters: of those JSON escapes what PostgreSQL does, and in the same way (quotation marks and
 * backslashes by a backslash; its manual, 8.15.6). `pg` does the same for any text, one element after the other in JavaScript, in three times the time.
 */
export const plainArray = (values: ReadonlyArray<string | number | bigint | null>): string =>
  `{${values.map((value) => (value === null ? "NULL" : typeof value === "string" ? JSON.stringify(value) : value)).join(",")}}`

export const byteaOfBytes = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const hexesOfByteaArray = (text: string): ReadonlyArray<Hex> => (text.match(/\\x[0-9a-f]*/g) ?? []).map(hexOfBytea)

const parsers = new Map<number, (text: string) => unknown>([
  [BYTEA, hexOfBytea],
  [INT8, BigInt],
  [BYTEA_ARRAY, hexesOfByteaArray]
])

export const wireTypes: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    (format !== "binary" ? parsers.get(oid) : undefined) ??
    pg.types.getTypeParser(oid, format as "text")) as pg.CustomTypesConfig["getTypeParser"]
}
