/** Which BLS12-381 implementation does the work: `mcl` for speed, `noble` as the reference. */
import type { Bls12381Engine } from "../../threshold/engine.ts"
import { nobleEngine } from "../../threshold/noble-engine.ts"
import { createMclEngine } from "./mcl-engine.ts"

export type EngineName = "mcl" | "noble"

export const startEngine = async (name: EngineName): Promise<Bls12381Engine> => (name === "mcl" ? createMclEngine() : nobleEngine)
