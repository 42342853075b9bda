/**
 * The streams and durable consumers, made from code as often as they are lost. Needs nothing newer than nats-server 2.9: one
 * durable consumer for each subject (consumers with many filters came with 2.10), no message TTL, no pausing, no metadata.
 */
import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  ReplayPolicy,
  RetentionPolicy,
  StorageType,
  type Consumer,
  type StreamConfig
} from "@nats-io/jetstream"
import { nanos } from "@nats-io/transport-node"
import { JOURNEY, PARKED_SUBJECT, workSubject } from "../../domain/journey.ts"
import {
  BODY_BYTES_MAX,
  DELIVERIES_MAX,
  DUPLICATE_WINDOW_MS,
  HINT_AGE_MAX_MS,
  PARKED_AGE_MAX_MS,
  PARKED_KEPT_MAX
} from "../../messaging/bus-limits.ts"
import type { NatsSession } from "./connection.ts"
import type { NatsSettings } from "./nats-settings.ts"

export const WORK_STREAM = "DECRYPTION_WORK"
export const OUTCOME_STREAM = "DECRYPTION_OUTCOME"
export const PARKED_STREAM = "DECRYPTION_PARKED"
export const WITNESS_STREAM = "DECRYPTION_WITNESS"
/** Not one that the bus lets anybody publish on. */
export const WITNESS_SUBJECT = "decryption.witness"

/** Room for the message id and the park headers beside a body. */
const HEADER_BYTES_MAX = 4_096
const WITNESS_BYTES_MAX = 65_536
/** Processes expected to share a consumer; bounds what may be unsettled at once, resting messages included. */
const CONSUMING_PROCESSES_MAX = 64
const UNSETTLED_MIN = 1_024

type WantedStream = Partial<StreamConfig> & { readonly name: string }

const hintStream = (name: string, subjects: ReadonlyArray<string>, settings: NatsSettings): WantedStream => ({
  name,
  subjects: [...subjects],
  retention: RetentionPolicy.Workqueue,
  storage: StorageType.File,
  num_replicas: settings.replicas,
  max_bytes: settings.streamBytesMax,
  max_age: nanos(HINT_AGE_MAX_MS),
  max_msg_size: BODY_BYTES_MAX + HEADER_BYTES_MAX,
  // Hints may be lost: better an old one than the newest, and never a publisher that cannot go on.
  discard: DiscardPolicy.Old,
  duplicate_window: nanos(DUPLICATE_WINDOW_MS)
})

const parkedStream = (settings: NatsSettings): WantedStream => ({
  name: PARKED_STREAM,
  subjects: [PARKED_SUBJECT],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  num_replicas: settings.replicas,
  max_bytes: settings.streamBytesMax,
  max_msgs: PARKED_KEPT_MAX,
  max_age: nanos(PARKED_AGE_MAX_MS),
  discard: DiscardPolicy.Old,
  duplicate_window: nanos(DUPLICATE_WINDOW_MS)
})

/** How far the database had come (witness.port.ts): only the newest word counts, however old it is. */
const witnessStream = (settings: NatsSettings): WantedStream => ({
  name: WITNESS_STREAM,
  subjects: [WITNESS_SUBJECT],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  num_replicas: settings.replicas,
  max_msgs: 1,
  max_bytes: WITNESS_BYTES_MAX,
  discard: DiscardPolicy.Old
})

/** Work subjects are listed one by one: `decryption.*.do` would overlap `decryption.outcome.*`, which a server refuses. */
export const wantedStreams = (settings: NatsSettings): ReadonlyArray<WantedStream> => [
  hintStream(WORK_STREAM, JOURNEY.map(workSubject), settings),
  hintStream(OUTCOME_STREAM, ["decryption.outcome.*"], settings),
  parkedStream(settings),
  witnessStream(settings)
]

export const streamOf = (subject: string): string => (subject.endsWith(".do") ? WORK_STREAM : OUTCOME_STREAM)

/** `decryption.acl-checked.do` is consumed through the durable `acl-checked-do`, `decryption.outcome.3` through `outcome-3`. */
export const durableOf = (subject: string): string => subject.split(".").slice(1).join("-")

/** Makes what is missing and adjusts what has other limits. Rejects when JetStream does not answer or refuses. */
export const ensureStreams = async (session: NatsSession, settings: NatsSettings): Promise<void> => {
  for (const wanted of wantedStreams(settings)) await ensureStream(session, wanted)
}

const ensureStream = async ({ manager }: NatsSession, wanted: WantedStream): Promise<void> => {
  try {
    const { config } = await manager.streams.info(wanted.name)
    if (differs(config, wanted)) await manager.streams.update(wanted.name, wanted)
  } catch (error) {
    if (!isMissing(error, JetStreamApiCodes.StreamNotFound)) throw error
    await manager.streams.add(wanted)
  }
}

export const isMissingStream = (error: unknown): boolean => isMissing(error, JetStreamApiCodes.StreamNotFound)

const isMissing = (error: unknown, code: number): boolean => error instanceof JetStreamApiError && error.code === code

/** The durable consumer of a subject, made (with its stream) if it is missing and widened if it is too narrow for us. */
export const ensureConsumer = async (
  session: NatsSession,
  settings: NatsSettings,
  subject: string,
  concurrency: number
): Promise<Consumer> => {
  const { manager, jetstream } = session
  const stream = streamOf(subject)
  const name = durableOf(subject)
  const unsettledMax = Math.max(UNSETTLED_MIN, concurrency * 2 * CONSUMING_PROCESSES_MAX)
  const wanted = { ack_wait: nanos(settings.ackWaitMs), max_deliver: DELIVERIES_MAX, max_ack_pending: unsettledMax }
  const make = () =>
    manager.consumers.add(stream, {
      durable_name: name,
      filter_subject: subject,
      deliver_policy: DeliverPolicy.All,
      ack_policy: AckPolicy.Explicit,
      replay_policy: ReplayPolicy.Instant,
      ...wanted
    })

  const found = await manager.consumers.info(stream, name).catch(async (error: unknown) => {
    if (isMissing(error, JetStreamApiCodes.StreamNotFound)) await ensureStreams(session, settings)
    else if (!isMissing(error, JetStreamApiCodes.ConsumerNotFound)) throw error
    return make()
  })
  // Another process with more hands may have widened it already. Only ever widen, or the two would fight.
  const unsettledNow = found.config.max_ack_pending ?? 0
  const isAsWanted = found.config.ack_wait === wanted.ack_wait && found.config.max_deliver === wanted.max_deliver &&
    unsettledNow >= unsettledMax
  const info = isAsWanted
    ? found
    : await manager.consumers.update(stream, name, { ...wanted, max_ack_pending: Math.max(unsettledNow, unsettledMax) })
  return jetstream.consumers.getConsumerFromInfo(info)
}

const differs = (config: StreamConfig, wanted: WantedStream): boolean =>
  Object.entries(wanted).some(([key, value]) => JSON.stringify(config[key as keyof StreamConfig]) !== JSON.stringify(value))
