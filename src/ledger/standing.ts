/**
 * How far a database has come, and whether it has gone back since. A snapshot of a disk that is put back, or a disk that had not kept what it
 * confirmed, comes up under the same name and timeline: only who remembers the database as it was can tell (docs/adr/0023).
 */

export interface Standing {
  /** Of the cluster of servers: another one is another database. */
  readonly system: string
  /** Every promotion raises it. */
  readonly timeline: number
  /** How often it was said of this database that it had lost commits. */
  readonly rewinds: number
  /** From one start of the server to the next; commits can only be lost in between. */
  readonly life: number
  /** In bytes of the write-ahead log that are on disk. */
  readonly position: number
}

export interface SeenStanding extends Standing {
  /** Where the write-ahead log ended when this life began, or later: what was committed since hides nothing. */
  readonly beganAt: number
}

/**
 * Whether what is seen may lack something of what is remembered. The end of the log is compared as it was when the server started, because
 * whoever writes on would soon have passed what was lost; within one life as it is now (a machine that was set back while it ran).
 */
export const isBehind = (remembered: Standing, seen: SeenStanding): boolean => {
  if (seen.system !== remembered.system) return true
  if (seen.timeline !== remembered.timeline) return seen.timeline < remembered.timeline
  if (seen.rewinds !== remembered.rewinds) return seen.rewinds < remembered.rewinds
  return (seen.life === remembered.life ? seen.position : seen.beganAt) < remembered.position
}
