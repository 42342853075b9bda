/** Leases on PostgreSQL. Only the database's clock counts, and only a change of owner changes the epoch (reliability.md P6). */
import { Effect, Layer } from "effect"
import { sql } from "kysely"
import { type Lease, Leases } from "../../ledger/lease.port.ts"
import { Database, type Prepared, sqlState, UNIQUE_VIOLATION } from "./pool.ts"
import { epochBeyond, FIRST_EPOCH, HERE } from "./timeline-statements.ts"

/** An owner that resigned is nobody: whoever comes next, even the same one, starts a new epoch. So does everybody in another history of the
 * database: the epochs that were given before may have been lost with the last commits, and their owners still believe in them. */
const CLAIM: Prepared = {
  name: "claim-leases",
  isVital: true,
  text: `
INSERT INTO lease AS l (name, owner, epoch, until, given_in)
SELECT DISTINCT name, $2::text, ${FIRST_EPOCH}, now() + $3::bigint * interval '1 millisecond', ${HERE}
FROM unnest($1::text[]) AS wanted(name) ORDER BY name
ON CONFLICT (name) DO UPDATE SET
  owner = excluded.owner,
  until = excluded.until,
  given_in = excluded.given_in,
  epoch = CASE
    WHEN l.given_in <> excluded.given_in THEN ${epochBeyond("l.epoch")}
    WHEN l.owner = excluded.owner THEN l.epoch
    ELSE l.epoch + 1
  END
WHERE l.owner IS NULL OR l.owner = excluded.owner OR l.until <= now()
RETURNING name, epoch`
}

/** Sets no column of a key, so that it never waits for a save that holds the lease FOR KEY SHARE. */
const RENEW: Prepared = {
  name: "renew-leases",
  isVital: true,
  text: `
UPDATE lease l SET until = now() + $4::bigint * interval '1 millisecond'
FROM unnest($1::text[], $2::bigint[]) AS held(name, epoch)
WHERE l.name = held.name AND l.epoch = held.epoch AND l.owner = $3
RETURNING l.name, l.epoch`
}

const RESIGN: Prepared = {
  name: "resign-leases",
  isVital: true,
  text: `
UPDATE lease l SET owner = NULL, until = now()
FROM unnest($1::text[], $2::bigint[]) AS held(name, epoch)
WHERE l.name = held.name AND l.epoch = held.epoch AND l.owner = $3`
}

const FORGET: Prepared = {
  name: "forget-leases",
  text: `DELETE FROM lease WHERE starts_with(name, $1) AND until <= now() - $2::bigint * interval '1 millisecond'`
}

const namesOf = (leases: ReadonlyArray<Lease>) => leases.map((lease) => lease.name)
const epochsOf = (leases: ReadonlyArray<Lease>) => leases.map((lease) => lease.epoch)

export const leasesLayer: Layer.Layer<Leases, never, Database> = Layer.effect(
  Leases,
  Effect.gen(function*() {
    const database = yield* Database
    return Leases.of({
      // Two who claim a name that nobody ever claimed can meet in the second unique index, which ON CONFLICT (name) does not look at.
      claim: (names, owner, ms) =>
        database
          .run<Lease>("claim leases", CLAIM, [names, owner, Math.round(ms)])
          .pipe(Effect.retry({ while: (error) => sqlState(error) === UNIQUE_VIOLATION, times: names.length })),
      renew: (leases, owner, ms) =>
        database.run<Lease>("renew leases", RENEW, [namesOf(leases), epochsOf(leases), owner, Math.round(ms)]),
      resign: (leases, owner) => Effect.asVoid(database.run("resign leases", RESIGN, [namesOf(leases), epochsOf(leases), owner])),
      forget: (prefix, endedMs) => Effect.asVoid(database.run("forget leases", FORGET, [prefix, Math.round(endedMs)])),
      holders: database.ask("read leases", (kysely) =>
        kysely
          .selectFrom("lease")
          .select(["name", "owner", "epoch", sql<number>`(extract(epoch FROM until - now()) * 1000)::float8`.as("remainingMs")])
          .where("owner", "is not", null)
          .where("until", ">", sql<Date>`now()`)
          .orderBy("name")
          .$narrowType<{ owner: string }>()
          .execute()
      )
    })
  })
)
