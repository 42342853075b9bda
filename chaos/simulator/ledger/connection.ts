/**
 * One node's way to the database, through which each of its statements passes by name: the place where a simulator counts, delays
 * and fails them, and where it kills the node. A node that was killed reaches nothing any more, not even from its finalizers.
 */
import { Effect } from "effect"
import { LedgerUnavailable } from "../../../src/ledger/ledger-unavailable.ts"
import type { MemoryDatabase } from "./memory-database.ts"
import { ConstraintViolation, type Transaction } from "./memory-table.ts"

/** One execution of a statement. */
export interface Statement {
  readonly node: string
  readonly name: string
  /** Counts executions of this name by this node, from 1. */
  readonly nth: number
}

/**
 * What happens around a statement. A failure `before` it: nothing was written. A failure `after` it: it was written, and the node
 * does not know. A node that is killed in a hook should never come back from it.
 */
export interface StatementHooks {
  readonly before?: (statement: Statement) => Effect.Effect<void, LedgerUnavailable>
  readonly after?: (statement: Statement) => Effect.Effect<void, LedgerUnavailable>
}

const nothing = () => Effect.void

export class Connection {
  readonly node: string
  private readonly database: MemoryDatabase
  private readonly hooks: StatementHooks
  private readonly executed = new Map<string, number>()
  private isCut = false

  constructor(database: MemoryDatabase, node: string, hooks: StatementHooks = {}) {
    this.database = database
    this.node = node
    this.hooks = hooks
  }

  /** How often each statement was executed, by name. */
  get counts(): ReadonlyMap<string, number> {
    return this.executed
  }

  /** From now on nothing of this node reaches the database. */
  cut(): void {
    this.isCut = true
  }

  /** The one choke point. Other fibers run before and after it, as they do while a real statement travels. */
  statement<A>(name: string, work: (transaction: Transaction) => A): Effect.Effect<A, LedgerUnavailable> {
    const { before = nothing, after = nothing } = this.hooks
    const doing = name.replaceAll("-", " ")
    const unavailable = (cause: unknown) => new LedgerUnavailable({ doing, cause })
    const reached = Effect.suspend(() =>
      this.isCut || !this.database.isUp ? Effect.fail(unavailable("the database does not answer")) : Effect.void
    )
    return Effect.suspend(() => {
      const nth = (this.executed.get(name) ?? 0) + 1
      this.executed.set(name, nth)
      const statement: Statement = { node: this.node, name, nth }
      const execution = Effect.suspend(() => {
        try {
          return Effect.succeed(this.database.transact(work))
        } catch (cause) {
          if (cause instanceof ConstraintViolation) return Effect.fail(unavailable(cause))
          throw cause
        }
      })
      return reached.pipe(
        Effect.andThen(before(statement)),
        Effect.andThen(Effect.yieldNow),
        Effect.andThen(reached),
        Effect.andThen(execution),
        Effect.tap(() => after(statement)),
        Effect.tap(() => reached),
        Effect.tap(() => Effect.yieldNow)
      )
    })
  }
}
