/** Which rigs there are. Each is loaded when it is asked for: the simulator needs no servers, and real processes no simulator. */
import type { Records } from "../bin/verify/records.ts"
import type { RigName, StartRig } from "./rig.ts"

/** Undefined where a rig is not built. */
export const RIGS: Readonly<Record<RigName, () => Promise<StartRig<Records> | undefined>>> = {
  sim: async () => (await import("./simulator/sim-rig.ts")).startSimRig,
  process: async () => (await import("./process/process-rig.ts")).startProcessRig
}
