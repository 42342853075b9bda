/**
 * A table in memory with what the ledger relies on in PostgreSQL: primary key, unique constraints, checks, triggers before and
 * after a change. Rows are never altered, only replaced, so that a copy of a table is a copy of its map. Every change notes how it
 * is undone, for the statement that turns out to be refused.
 */

/** What PostgreSQL would have answered, by its SQLSTATE (manual, appendix A). */
export class ConstraintViolation extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

export const UNIQUE_VIOLATION = "23505"
export const CHECK_VIOLATION = "23514"
export const RESTRICT_VIOLATION = "23001"

/** `before` is undefined for an insert, `after` for a delete. */
export interface RowChange<Row> {
  readonly before: Row | undefined
  readonly after: Row | undefined
}

/** What one statement sees and changes; all of it is kept, or nothing. */
export interface Transaction {
  /** By the database's clock, the same through the whole transaction. */
  readonly nowMs: number
  /** Of the server: see src/ledger/standing.ts. */
  readonly timelineId: number
  readonly life: number
  readonly position: number
  readonly beganAt: number
  readonly table: <Row>(definition: TableDefinition<Row>) => MemoryTable<Row>
  /** Sequences are not taken back with a transaction. */
  readonly next: (sequence: string) => bigint
}

export interface TableDefinition<Row> {
  readonly name: string
  readonly key: (row: Row) => string
  /** Undefined: the constraint does not concern this row (a partial index). */
  readonly unique?: Readonly<Record<string, (row: Row) => string | undefined>>
  readonly index?: Readonly<Record<string, (row: Row) => string>>
  readonly checks?: Readonly<Record<string, (row: Row) => boolean>>
  /** A BEFORE trigger: throws to refuse. */
  readonly guard?: (change: RowChange<Row>, transaction: Transaction) => void
  /** An AFTER trigger. */
  readonly after?: (transaction: Transaction, change: RowChange<Row>) => void
}

/** For tables whose rows are written once and stay. */
export const appendOnly =
  (name: string) =>
  ({ before }: RowChange<unknown>): void => {
    if (before !== undefined) throw new ConstraintViolation(RESTRICT_VIOLATION, `table ${name} is append-only`)
  }

/** The transaction that is under way, its undo log, and what is told to whoever watches a table, by its name. */
export interface UnderWay {
  readonly transaction: Transaction
  readonly undo: Array<() => void>
  readonly changes: Array<{ readonly table: string; readonly change: RowChange<unknown> }>
}

type Rows<Row> = ReadonlyMap<string, Row>

export class MemoryTable<Row> {
  private readonly definition: TableDefinition<Row>
  private readonly underWay: () => UnderWay
  private rows = new Map<string, Row>()
  private readonly uniques = new Map<string, Map<string, string>>()
  private readonly indexes = new Map<string, Map<string, Set<string>>>()

  constructor(definition: TableDefinition<Row>, underWay: () => UnderWay, rows: Rows<Row> = new Map()) {
    this.definition = definition
    this.underWay = underWay
    for (const name of Object.keys(definition.unique ?? {})) this.uniques.set(name, new Map())
    for (const name of Object.keys(definition.index ?? {})) this.indexes.set(name, new Map())
    for (const row of rows.values()) this.put(row)
  }

  get size(): number {
    return this.rows.size
  }

  /** In the order in which the rows came. */
  all(): ReadonlyArray<Row> {
    return [...this.rows.values()]
  }

  /** A copy that later changes leave alone. */
  copy(): Rows<Row> {
    return new Map(this.rows)
  }

  get(key: string): Row | undefined {
    return this.rows.get(key)
  }

  /** The row with this value under a unique constraint. */
  by(constraint: string, value: string): Row | undefined {
    const key = this.uniques.get(constraint)?.get(value)
    return key === undefined ? undefined : this.rows.get(key)
  }

  /** All rows with this value in an index, in the order in which they came there. */
  where(index: string, value: string): ReadonlyArray<Row> {
    const keys = this.indexes.get(index)?.get(value) ?? []
    return [...keys].flatMap((key) => {
      const row = this.rows.get(key)
      return row === undefined ? [] : [row]
    })
  }

  insert(row: Row): Row {
    return this.change(undefined, row)
  }

  /** Inserts, unless the row would violate the primary key or a unique constraint (ON CONFLICT DO NOTHING). */
  insertIfNew(row: Row): Row | undefined {
    return this.conflictOf(row, undefined) === undefined ? this.insert(row) : undefined
  }

  update(key: string, set: (row: Row) => Row): Row {
    const before = this.rows.get(key)
    if (before === undefined) throw new RangeError(`table ${this.definition.name} has no row ${key}`)
    return this.change(before, set(before))
  }

  delete(key: string): Row | undefined {
    const before = this.rows.get(key)
    if (before !== undefined) this.change(before, undefined)
    return before
  }

  /** As a superuser who has switched the triggers off. */
  tamper(key: string, set: (row: Row) => Row): void {
    const before = this.rows.get(key)
    if (before === undefined) throw new RangeError(`table ${this.definition.name} has no row ${key}`)
    this.take(before)
    this.put(set(before))
  }

  private change(before: Row | undefined, after: Row): Row
  private change(before: Row, after: undefined): undefined
  private change(before: Row | undefined, after: Row | undefined): Row | undefined {
    const { transaction, undo, changes } = this.underWay()
    const { name, guard, checks = {} } = this.definition
    guard?.({ before, after }, transaction)
    if (after !== undefined) {
      for (const [check, holds] of Object.entries(checks)) {
        if (!holds(after)) throw new ConstraintViolation(CHECK_VIOLATION, `new row of ${name} violates ${check}`)
      }
      const conflict = this.conflictOf(after, before)
      if (conflict !== undefined) throw new ConstraintViolation(UNIQUE_VIOLATION, `duplicate key in ${name}: ${conflict}`)
    }
    if (before !== undefined) this.take(before, after)
    if (after !== undefined) this.put(after)
    undo.push(() => {
      if (after !== undefined) this.take(after)
      if (before !== undefined) this.put(before)
    })
    changes.push({ table: name, change: { before, after } })
    this.definition.after?.(transaction, { before, after })
    return after
  }

  private conflictOf(row: Row, besides: Row | undefined): string | undefined {
    const { key: keyOf, unique = {} } = this.definition
    const key = keyOf(row)
    const own = besides === undefined ? undefined : keyOf(besides)
    if (key !== own && this.rows.has(key)) return `primary key ${key}`
    for (const [name, read] of Object.entries(unique)) {
      const value = read(row)
      const holder = value === undefined ? undefined : this.uniques.get(name)?.get(value)
      if (holder !== undefined && holder !== own) return `${name} ${value}`
    }
    return undefined
  }

  private put(row: Row): void {
    const { key: keyOf, unique = {}, index = {} } = this.definition
    const key = keyOf(row)
    this.rows.set(key, Object.freeze(row))
    for (const [name, read] of Object.entries(unique)) {
      const value = read(row)
      if (value !== undefined) this.uniques.get(name)?.set(value, key)
    }
    for (const [name, read] of Object.entries(index)) {
      const values = this.indexes.get(name)
      const value = read(row)
      const keys = values?.get(value)
      if (keys === undefined) values?.set(value, new Set([key]))
      else keys.add(key)
    }
  }

  /** `next`: what will stand in its place; a row that keeps its key keeps its place. */
  private take(row: Row, next?: Row): void {
    const { key: keyOf, unique = {}, index = {} } = this.definition
    const key = keyOf(row)
    const stays = next !== undefined && keyOf(next) === key
    if (!stays) this.rows.delete(key)
    for (const [name, read] of Object.entries(unique)) {
      const value = read(row)
      if (value !== undefined) this.uniques.get(name)?.delete(value)
    }
    for (const [name, read] of Object.entries(index)) {
      const value = read(row)
      if (stays && read(next) === value) continue
      const keys = this.indexes.get(name)?.get(value)
      keys?.delete(key)
      if (keys?.size === 0) this.indexes.get(name)?.delete(value)
    }
  }
}
