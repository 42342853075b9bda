/** How to reach a NATS cluster and how much it may store for us. Values come from `bin`; nothing here reads the environment. */
import type { Redacted } from "effect"
import { ACK_WAIT_MS } from "../../messaging/bus-limits.ts"

export type NatsCredentials =
  | { readonly type: "none" }
  /** The contents of a `.creds` file (JWT and nkey seed). */
  | { readonly type: "creds"; readonly contents: Redacted.Redacted<string> }
  | { readonly type: "token"; readonly token: Redacted.Redacted<string> }
  | { readonly type: "password"; readonly user: string; readonly password: Redacted.Redacted<string> }

/** PEM texts. A client certificate needs both `cert` and `key`. */
export interface NatsTls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: Redacted.Redacted<string>
  /** The server expects TLS at once instead of after its greeting (nats-server >= 2.10, `handshake_first`). */
  readonly handshakeFirst?: boolean
}

export interface NatsSettings {
  /** `nats://host:port`, `tls://host:port`; several members of one cluster. */
  readonly servers: ReadonlyArray<string>
  /** Shown in the server's list of connections. */
  readonly name: string
  readonly credentials: NatsCredentials
  readonly tls?: NatsTls
  /** Copies of every stream: 1 on a single server, 3 in a cluster. */
  readonly replicas: 1 | 3 | 5
  /** Disk that each stream may use. Hints: the oldest are dropped when it is full. */
  readonly streamBytesMax: number
  /** Publishes that wait for their confirmation at once. */
  readonly publishesInFlightMax: number
  /** A delivery that nobody has settled or said to work on for this long goes to somebody else. */
  readonly ackWaitMs: number
}

export const NATS_DEFAULTS = {
  name: "portcullis",
  credentials: { type: "none" },
  replicas: 1,
  streamBytesMax: 256 * 1024 * 1024,
  publishesInFlightMax: 512,
  ackWaitMs: ACK_WAIT_MS
} as const satisfies Omit<NatsSettings, "servers">
