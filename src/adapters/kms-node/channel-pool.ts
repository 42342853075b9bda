/** One gRPC channel for each endpoint, opened when it is first used and closed with the scope. */
import { isIP } from "node:net"
import { type Client, type ClientOptions, logVerbosity, makeGenericClientConstructor, setLogVerbosity } from "@grpc/grpc-js"
import { Effect, type Scope } from "effect"
import type { CommitteeNode } from "../../domain/committee.ts"
import { COMMITTEE_NODES_MAX } from "../../domain/limits.ts"
import type { KmsNodeClient } from "./generated/portcullis/kms/v1/kms_node.ts"
import { channelCredentials, type Security } from "./security.ts"
import { ANSWER_BYTES_MAX, ATTEST_REQUEST_BYTES_MAX, kmsNodeService } from "./service-definition.ts"

export interface ChannelOptions {
  readonly security: Security
  /** Where a node really is, when that is not what the committee record says: host:port. */
  readonly endpointOf?: (node: CommitteeNode) => string
  /** The name in a node's certificate, when that is not the host of its endpoint. */
  readonly serverNameOf?: (node: CommitteeNode) => string
}

/** Two epochs overlap while one replaces the other. */
const CHANNELS_MAX = 2 * COMMITTEE_NODES_MAX

const CHANNEL_OPTIONS: ClientOptions = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 3_000,
  "grpc.keepalive_permit_without_calls": 1,
  // A node that comes back is asked again within two seconds, not within two minutes.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
  // Who asks whom, and how often, is decided above this adapter.
  "grpc.enable_retries": 0,
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  // Beyond what the guarded door reads, so that the door can say what is wrong.
  "grpc.max_receive_message_length": 4 * ANSWER_BYTES_MAX,
  "grpc.max_send_message_length": ATTEST_REQUEST_BYTES_MAX
}

/** What stands in the handshake in place of an IP address; names nobody. */
const ADDRESSED_SERVER_NAME = "kms-node.invalid"

/** The IP address in `host:port` or `[host]:port`; undefined when the host is a name. */
const addressIn = (endpoint: string): string | undefined => {
  const host = endpoint.slice(0, endpoint.lastIndexOf(":")).replace(/^\[(.*)\]$/, "$1")
  return isIP(host) === 0 ? undefined : host
}

const NodeClient = makeGenericClientConstructor(kmsNodeService, "portcullis.kms.v1.KmsNode")

export const channelPool = (options: ChannelOptions): Effect.Effect<(node: CommitteeNode) => GuardedClient, never, Scope.Scope> =>
  Effect.gen(function* () {
    setLogVerbosity(logVerbosity.NONE) // it writes to stderr past every logger; what fails is told to the caller
    const clients = new Map<string, GuardedClient>()
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const client of clients.values()) client.close()
      })
    )
    const open = (endpoint: string, name: string | undefined): GuardedClient => {
      const address = name === undefined ? addressIn(endpoint) : undefined
      const serverName = name ?? (address === undefined ? undefined : ADDRESSED_SERVER_NAME)
      return new NodeClient(endpoint, channelCredentials(options.security, address), {
        ...CHANNEL_OPTIONS,
        ...(serverName === undefined ? {} : { "grpc.ssl_target_name_override": serverName, "grpc.default_authority": serverName })
      }) as unknown as GuardedClient
    }
    return (node) => {
      const [endpoint, name] = [options.endpointOf?.(node) ?? node.endpoint, options.serverNameOf?.(node)]
      const key = `${name ?? ""}@${endpoint}`
      const known = clients.get(key)
      if (known !== undefined) return known
      const oldest = clients.entries().next()
      if (clients.size >= CHANNELS_MAX && oldest.done !== true) {
        oldest.value[1].close()
        clients.delete(oldest.value[0])
      }
      const client = open(endpoint, name)
      clients.set(key, client)
      return client
    }
  })

/** The generated client, whose answers come through guarded doors: `callNode` tells a fault from an answer. */
export type GuardedClient = Pick<KmsNodeClient, "share" | "attest" | "describe"> & Pick<Client, "close">
