/**
 * Which builds may work on one database at the same time. A migration adds what the build before can do without, so that nodes are replaced one by one.
 * One that cannot do so says it with the end of its name: names are what the database remembers, and so a build that knows nothing of the migration
 * can read it. It is run when no other node lives, and no build before it starts again.
 */
import { Schema } from "effect"
import { type Kysely, sql } from "kysely"
import type { Fate } from "../../domain/fate.ts"
import { NODE_DEAD_AFTER_MS } from "../../domain/limits.ts"

const ENDING = "-needs-a-stop"

export const needsAStop = (migration: string): boolean => migration.endsWith(ENDING)

/** This build and the nodes or the database that it finds cannot work together. It has written nothing; a node that started would only fail. */
export class BuildsApart extends Schema.TaggedError<BuildsApart>()("BuildsApart", { why: Schema.String, todo: Schema.String }) {
  readonly fate: Fate = "halt"
  override get message(): string {
    return `${this.why}: ${this.todo}`
  }
}

export const olderThanItsDatabase = (migration: string): BuildsApart =>
  new BuildsApart({
    why: `this build is older than its database, which a newer build has brought to ${migration}, and cannot work with it`,
    todo: "start the newer build"
  })

export const olderNodesLive = (migration: string, nodes: ReadonlyArray<string>): BuildsApart =>
  new BuildsApart({
    why: `the migration ${migration} waits until no node of an older build lives, and these do: ${nodes.join(", ")}`,
    todo: `drain all of them (portcullis cluster drain), then start again; one that died counts for ${NODE_DEAD_AFTER_MS / 1_000} s more`
  })

/** Who has been heard, and who holds a lease: a crash of the server empties the list of nodes for a moment, and never the leases. */
export const livingNodes = async <Tables>(database: Kysely<Tables>): Promise<ReadonlyArray<string>> => {
  const { rows: known } = await sql<{ readonly known: boolean }>`SELECT to_regclass('gateway_node') IS NOT NULL AS known`.execute(database)
  if (known[0]?.known !== true) return []
  const { rows } = await sql<{ readonly worker: string }>`
    SELECT worker FROM gateway_node WHERE state <> 'gone' AND beat_at > now() - ${NODE_DEAD_AFTER_MS}::bigint * interval '1 millisecond'
    UNION SELECT owner FROM lease WHERE owner IS NOT NULL AND until > now() ORDER BY worker`.execute(database)
  return rows.map(({ worker }) => worker)
}
