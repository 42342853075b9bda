/**
 * PostgreSQL as the ledger's laws know it, in memory: statements that happen at once and whole or not at all, constraints and
 * triggers, a clock of its own. It can stop and start (what was committed survives), and an older copy of it can take its place, as
 * when an asynchronous standby is promoted or the snapshot of a disk is put back. It belongs to no node: nodes reach it through a `Connection`.
 */
import { Clock, Effect } from "effect"
import { MemoryTable, type RowChange, type TableDefinition, type Transaction, type UnderWay } from "./memory-table.ts"

type AnyDefinition = TableDefinition<never>
type AnyTable = MemoryTable<never>

/** The whole state at one moment. Rows are shared, never altered. */
export interface DatabaseCopy {
  readonly tables: ReadonlyArray<{ readonly definition: AnyDefinition; readonly rows: ReadonlyMap<string, never> }>
  readonly sequences: ReadonlyMap<string, bigint>
  readonly position: number
}

export class MemoryDatabase {
  private readonly clock: Clock.Clock
  private tables = new Map<string, { readonly definition: AnyDefinition; readonly table: AnyTable }>()
  private sequences = new Map<string, bigint>()
  private current: UnderWay | undefined
  private up = true
  /** Grows with every promotion (PostgreSQL's timeline): how a node can see that it talks to another history. */
  private timelineId = 1
  /** Statements that changed something: where the write-ahead log ends. */
  private position = 0
  /** Grows with every start. */
  private life = 1
  private beganAt = 0
  private readonly watchers = new Map<string, Array<(change: RowChange<never>) => void>>()

  constructor(clock: Clock.Clock) {
    this.clock = clock
  }

  get isUp(): boolean {
    return this.up
  }

  get timeline(): number {
    return this.timelineId
  }

  get nowMs(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /** All of `work`, or nothing of it when it throws. It must not wait for anything. */
  transact<A>(work: (transaction: Transaction) => A): A {
    if (this.current !== undefined) throw new TypeError("a statement does not start another")
    const transaction: Transaction = {
      nowMs: Math.floor(this.nowMs),
      ...{ timelineId: this.timelineId, life: this.life, position: this.position, beganAt: this.beganAt },
      table: (definition) => this.table(definition),
      next: (sequence) => {
        const value = (this.sequences.get(sequence) ?? 0n) + 1n
        this.sequences.set(sequence, value)
        return value
      }
    }
    const current: UnderWay = { transaction, undo: [], changes: [] }
    this.current = current
    let answer: A
    try {
      answer = work(transaction)
      if (current.undo.length > 0) this.position += 1
    } catch (cause) {
      for (const undo of current.undo.toReversed()) undo()
      throw cause
    } finally {
      this.current = undefined
    }
    for (const { table, change } of current.changes) for (const told of this.watchers.get(table) ?? []) told(change as RowChange<never>)
    return answer
  }

  /** Of a checker: told of every row of this table that is written, altered or deleted, once that is committed. What a copy takes back is not told. */
  watch<Row>(definition: TableDefinition<Row>, told: (change: RowChange<Row>) => void): void {
    this.watchers.set(definition.name, [...(this.watchers.get(definition.name) ?? []), told])
  }

  /** Nobody is answered until it starts again. */
  stop(): void {
    this.up = false
  }

  start(): void {
    if (!this.up) this.beginLife()
    this.up = true
  }

  copy(): DatabaseCopy {
    return {
      tables: [...this.tables.values()].map(({ definition, table }) => ({ definition, rows: table.copy() })),
      sequences: new Map(this.sequences),
      position: this.position
    }
  }

  /** A standby that had seen this much takes over: what was committed since is gone. */
  promote(copy: DatabaseCopy): void {
    this.restore(copy)
    this.timelineId += 1
  }

  /** A snapshot of its disk is put back, and it starts with that: what was committed since is gone, and its timeline does not tell. */
  restore(copy: DatabaseCopy): void {
    this.tables = new Map()
    for (const { definition, rows } of copy.tables) {
      this.tables.set(definition.name, { definition, table: new MemoryTable(definition, this.underWay, rows) })
    }
    this.sequences = new Map(copy.sequences)
    this.position = copy.position
    this.beginLife()
  }

  private beginLife(): void {
    this.life += 1
    this.beganAt = this.position
  }

  /** For who looks behind the ledger's back: checkers, and tests of the constraints. */
  table<Row>(definition: TableDefinition<Row>): MemoryTable<Row> {
    const known = this.tables.get(definition.name)
    if (known !== undefined) return known.table as unknown as MemoryTable<Row>
    const table = new MemoryTable(definition, this.underWay)
    this.tables.set(definition.name, { definition: definition as unknown as AnyDefinition, table: table as unknown as AnyTable })
    return table
  }

  private readonly underWay = (): UnderWay => {
    if (this.current === undefined) throw new TypeError("rows change inside a statement only")
    return this.current
  }
}

/** On the clock of whoever makes it, not on those of the nodes. */
export const makeMemoryDatabase: Effect.Effect<MemoryDatabase> = Effect.map(Clock.Clock, (clock) => new MemoryDatabase(clock))
