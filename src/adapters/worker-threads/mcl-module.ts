/**
 * mcl (herumi/mcl, WebAssembly build of npm `mcl-wasm`) as a private instance: its exported functions on addresses, and
 * a fixed piece of its memory to work in. Private, because mcl's curve, encoding and hash modes are global to an
 * instance and nobody else may change ours.
 */
import assert from "node:assert/strict"
import { webcrypto } from "node:crypto"
import createModule from "mcl-wasm/dist/mcl_c.js"

type Address = number

/** The part of mcl's C interface (include/mcl/bn.h) that we use. Results come first. */
export interface MclFunctions {
  _malloc: (bytes: number) => Address
  _mclBn_init: (curve: number, compiledTimeVar: number) => number
  _mclBn_setETHserialization: (enable: number) => void
  _mclBn_setMapToMode: (mode: number) => number
  _mclBn_verifyOrderG1: (enable: number) => void
  _mclBn_verifyOrderG2: (enable: number) => void
  _mclBn_getUint64NumToPrecompute: () => number
  _mclBnFr_deserialize: (out: Address, bytes: Address, length: number) => number
  _mclBnFr_sub: (out: Address, left: Address, right: Address) => void
  _mclBnFp_serialize: (out: Address, lengthMax: number, value: Address) => number
  _mclBnG1_hashAndMapToWithDst: (out: Address, message: Address, length: number, dst: Address, dstLength: number) => number
  _mclBnG1_deserialize: (out: Address, bytes: Address, length: number) => number
  _mclBnG2_deserialize: (out: Address, bytes: Address, length: number) => number
  _mclBnG1_serialize: (out: Address, lengthMax: number, point: Address) => number
  _mclBnG2_serialize: (out: Address, lengthMax: number, point: Address) => number
  _mclBnG1_isZero: (point: Address) => number
  _mclBnG2_isZero: (point: Address) => number
  _mclBnG1_isEqual: (left: Address, right: Address) => number
  _mclBnG2_isEqual: (left: Address, right: Address) => number
  _mclBnG1_add: (out: Address, left: Address, right: Address) => void
  _mclBnG2_add: (out: Address, left: Address, right: Address) => void
  _mclBnG1_neg: (out: Address, point: Address) => void
  _mclBnG2_neg: (out: Address, point: Address) => void
  _mclBnG1_normalize: (out: Address, point: Address) => void
  _mclBnG2_normalize: (out: Address, point: Address) => void
  _mclBnG2_normalizeVec: (out: Address, points: Address, count: number) => void
  _mclBnG1_clear: (out: Address) => void
  _mclBnG2_clear: (out: Address) => void
  _mclBnG1_mul: (out: Address, point: Address, scalar: Address) => void
  _mclBnG2_mul: (out: Address, point: Address, scalar: Address) => void
  _mclBnG1_mulVec: (out: Address, points: Address, scalars: Address, count: number) => void
  _mclBnG2_mulVec: (out: Address, points: Address, scalars: Address, count: number) => void
  _mclBn_pairing: (out: Address, left: Address, right: Address) => void
  _mclBn_finalExp: (out: Address, value: Address) => void
  _mclBn_millerLoopVec: (out: Address, left: Address, right: Address, count: number) => void
  _mclBn_precomputeG2: (out: Address, point: Address) => void
  _mclBn_precomputedMillerLoop: (out: Address, left: Address, lines: Address) => void
  _mclBn_precomputedMillerLoop2: (out: Address, left1: Address, lines1: Address, left2: Address, lines2: Address) => void
  _mclBnGT_mul: (out: Address, left: Address, right: Address) => void
  _mclBnGT_isOne: (value: Address) => number
  _mclBnGT_serialize: (out: Address, lengthMax: number, value: Address) => number
}

interface MclInstance extends MclFunctions {
  readonly wasmMemory: { readonly buffer: ArrayBuffer }
}

export interface MclModule {
  readonly call: MclFunctions
  /** Bytes of the line coefficients of one prepared G2 point. */
  readonly linesBytes: number
  /** Starts a computation: everything taken before is free again. */
  readonly begin: () => void
  /** Working memory until the next `begin`. */
  readonly take: (bytes: number) => Address
  readonly put: (bytes: Uint8Array) => Address
  readonly write: (address: Address, bytes: Uint8Array) => void
  readonly read: (address: Address, bytes: number) => Uint8Array
  readonly wipe: (address: Address, bytes: number) => void
  /** Memory for ever. */
  readonly keep: (bytes: number) => Address
}

const BLS12_381 = 5
/** MCLBN_COMPILED_TIME_VAR of this build: 4 limbs of Fr * 10 + 6 limbs of Fp; mcl refuses to start when it differs. */
const COMPILED_TIME_VAR = 46
/** MCL_MAP_TO_MODE_HASH_TO_CURVE: RFC 9380 (draft 07 and later are the same for this suite). */
const RFC_9380 = 5
const WORKSPACE_BYTES = 256 * 1024

const aligned = (bytes: number): number => (bytes + 15) & ~15

export const startMcl = async (): Promise<MclModule> => {
  const instance = (await createModule({
    cryptoGetRandomValues: (bytes: Uint8Array<ArrayBuffer>) => webcrypto.getRandomValues(bytes)
  })) as MclInstance
  assert(instance._mclBn_init(BLS12_381, COMPILED_TIME_VAR) === 0, "mcl starts on BLS12-381")
  instance._mclBn_setETHserialization(1) // ZCash compressed points, big-endian scalars
  assert(instance._mclBn_setMapToMode(RFC_9380) === 0, "mcl hashes to the curve as RFC 9380 does")
  instance._mclBn_verifyOrderG1(1) // deserialize checks the subgroup
  instance._mclBn_verifyOrderG2(1)

  // Growing the memory detaches the old buffer; a view on a detached buffer has length 0.
  let view = new Uint8Array(instance.wasmMemory.buffer)
  const memory = (): Uint8Array => {
    if (view.length === 0) view = new Uint8Array(instance.wasmMemory.buffer)
    return view
  }
  const keep = (bytes: number): Address => {
    const address = instance._malloc(aligned(bytes))
    assert(address !== 0, "mcl has memory")
    return address
  }
  const workspace = keep(WORKSPACE_BYTES)
  let used = 0
  const take = (bytes: number): Address => {
    const address = workspace + used
    used += aligned(bytes)
    assert(used <= WORKSPACE_BYTES, "one computation fits the workspace")
    return address
  }
  const write = (address: Address, bytes: Uint8Array): void => memory().set(bytes, address)
  return {
    call: instance,
    linesBytes: instance._mclBn_getUint64NumToPrecompute() * 8,
    begin: () => {
      used = 0
    },
    take,
    put: (bytes) => {
      const address = take(bytes.length)
      write(address, bytes)
      return address
    },
    write,
    read: (address, bytes) => memory().slice(address, address + bytes),
    wipe: (address, bytes) => memory().fill(0, address, address + bytes),
    keep
  }
}
