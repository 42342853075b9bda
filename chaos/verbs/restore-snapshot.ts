/** A database that goes back in time and does not know it: the snapshot of a disk is put back, or a disk had not kept what it confirmed. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const restoreSnapshot = defineVerb({
  name: "restore-snapshot",
  does: "Puts an older copy of PostgreSQL's folder in its place: the same server on the same timeline, without the last commits.",
  targets: ["postgres"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "The copy made at the beginning is put in place of the folder, and the server recovers from it. Real processes are stopped for both.",
  apply: (levers) => levers.snapshotPostgres()
})
