/** A gateway node: real adapters behind every port, and the actors that its roles call for. Lives as long as its scope. */
import { Effect, identity, Layer } from "effect"
import { detectedActor } from "../actors/1-detected.actor.ts"
import { aclCheckedActor } from "../actors/2-acl-checked.actor.ts"
import { ciphertextFetchedActor } from "../actors/3-ciphertext-fetched.actor.ts"
import { sharesCollectedActor } from "../actors/4-shares-collected.actor.ts"
import { thresholdVerifiedActor } from "../actors/5-threshold-verified.actor.ts"
import { finalityActor, laneActor, makeBell, strayLanesActor, submitActor } from "../actors/6-submitted.actor.ts"
import { autoscaleActor } from "../actors/autoscale.actor.ts"
import { coordinator } from "../actors/coordinator.actor.ts"
import { reconcileActor, watchTimeline } from "../actors/failover.actor.ts"
import { nodeBeliefs } from "../actors/kms-node.actor.ts"
import { laneHistoryActor } from "../actors/lane-history.actor.ts"
import { followPartitions } from "../actors/runtime/follow-partitions.ts"
import { joinCluster } from "../actors/runtime/membership.ts"
import { serveChain } from "../actors/runtime/one-chain.ts"
import { ownPartitions } from "../actors/runtime/partitions.ts"
import { Freeze, type FreezeView } from "../actors/runtime/freeze.ts"
import { Pauses, unlessPaused } from "../actors/runtime/pauses.ts"
import { gatherOutcomes, Gathered } from "../actors/runtime/publish-outcomes.ts"
import { Recent, type RecentRequests } from "../actors/runtime/recent-requests.ts"
import { countDone, DoneHere } from "../actors/runtime/work-done.ts"
import { rescanActor } from "../actors/rescan.actor.ts"
import { sweeper } from "../actors/sweeper.actor.ts"
import { KNOWN_MACHINE_VERSIONS } from "../machines/decide.ts"
import { accessListLayer } from "../src/adapters/ethereum/access-list.layer.ts"
import { ciphertextRegistryLayer } from "../src/adapters/ethereum/ciphertext-registry.layer.ts"
import { committeesLayer } from "../src/adapters/ethereum/committees.layer.ts"
import { requestLogLayer } from "../src/adapters/ethereum/request-log.layer.ts"
import { resultContractLayer } from "../src/adapters/ethereum/result-contract.layer.ts"
import { json, serveGatewayHttp } from "../src/adapters/http/gateway-http.ts"
import { inProcessBus } from "../src/adapters/embedded/in-process-bus.layer.ts"
import { shareNodesLayer } from "../src/adapters/kms-node/share-nodes.layer.ts"
import { guardedKeyEncryptionKeyLayer } from "../src/adapters/key-providers/guarded-key-encryption-key.layer.ts"
import { localKeyEncryptionKeyLayer } from "../src/adapters/local-keys/key-encryption-key.layer.ts"
import { natsBus } from "../src/adapters/nats/bus.layer.ts"
import { ciphertextCacheLayer } from "../src/adapters/object-store/ciphertext-cache.layer.ts"
import { ciphertextStoreLayer } from "../src/adapters/object-store/ciphertext-store.layer.ts"
import { ledgerLayer } from "../src/adapters/postgres/ledger.layer.ts"
import { databaseLayer } from "../src/adapters/postgres/pool.ts"
import { threadLeaseKeeper } from "../src/adapters/postgres/thread-lease-keeper.layer.ts"
import { effectLoggerLayer } from "../src/adapters/pino/effect-logger.ts"
import { telemetryLayer } from "../src/adapters/prometheus/telemetry.layer.ts"
import { layer as combinerLayer } from "../src/adapters/worker-threads/combiner.layer.ts"
import { doesStep, nodeNameOf } from "../src/domain/cluster.ts"
import { lower } from "../src/domain/hex.ts"
import type { Step } from "../src/domain/journey.ts"
import { guardsHere, guardsLayer } from "../src/resilience/guards.ts"
import { MetricsPage } from "../src/telemetry/metrics-page.port.ts"
import { clusterRoute } from "./cluster-view.ts"
import { healthChecks } from "./gateway-health.ts"
import type { GatewayOptions } from "./gateway-options.ts"
import { announcements, ONE_IS_ENOUGH, withEndpoints } from "./rpc-endpoints.ts"
import { VERSION } from "./version.ts"

/** Curve jobs that wait for a worker thread: two rounds for every message a node may be working on. */
const COMBINER_QUEUE_MAX = 64

export const gatewayLayer = (options: GatewayOptions) => {
  const { chain } = options
  const { rpcUrl, contracts, rpcPolicy: policy = ONE_IS_ENOUGH } = chain
  const onChain = withEndpoints({ rpcUrl, chainId: contracts.chainId, policy }, (rpc) =>
    Layer.mergeAll(
      Layer.unwrap(Effect.map(announcements(chain.wsUrl), (nextHead) => requestLogLayer(rpc, contracts, nextHead))),
      accessListLayer(rpc, contracts, chain.aclFinality),
      ciphertextRegistryLayer(rpc, contracts, chain.aclFinality),
      committeesLayer(rpc, contracts),
      resultContractLayer(rpc, contracts, chain.lanes, chain.resultFinality, chain.feeMax)
    )
  )
  const telemetry = telemetryLayer({
    ...options.log,
    worker: options.worker,
    ...(options.onFact === undefined ? {} : { onFact: options.onFact })
  })
  const ledger = ledgerLayer.pipe(
    Layer.provide(guardedKeyEncryptionKeyLayer.pipe(Layer.provide(localKeyEncryptionKeyLayer({ path: options.keyEncryptionKeyFile })))),
    Layer.provideMerge(databaseLayer(options.database))
  )
  return Layer.mergeAll(
    onChain,
    ledger,
    threadLeaseKeeper({ database: options.database }).pipe(Layer.provide(ledger)),
    options.bus === "embedded" ? inProcessBus : natsBus(options.bus),
    shareNodesLayer(options.kms),
    ciphertextStoreLayer(options.stores),
    ciphertextCacheLayer({ directory: options.cache.directory, bytesMax: options.cache.bytesMax }),
    combinerLayer({ engine: options.engine.name, workers: options.engine.workers, queueMax: COMBINER_QUEUE_MAX })
  ).pipe(Layer.provideMerge(guardsLayer), Layer.provideMerge(effectLoggerLayer), Layer.provideMerge(telemetry))
}

/** Starts what the roles call for; answers where metrics and health are served. Everything stops when the scope closes: first this node says that
 * it drains, then its actors finish or give back what they have, and last it says that it is gone. */
export const startGateway = Effect.fnUntraced(function* (options: GatewayOptions) {
  const { roles, worker } = options
  yield* serveChain(options.chain.contracts.chainId)
  const life = { worker, name: nodeNameOf(worker), version: VERSION, roles: [...roles], machineVersions: KNOWN_MACHINE_VERSIONS }
  const done = countDone()
  const membership = yield* joinCluster(life, options.obeyDrain ?? Effect.void, done.totals)
  const http =
    options.http === undefined
      ? undefined
      : yield* serveGatewayHttp({
          ...options.http,
          metrics: yield* MetricsPage,
          checks: yield* healthChecks,
          resilience: (yield* guardsHere).states,
          isTakingWork: Effect.sync(() => membership.state() === "working"),
          routes: roles.has("api")
            ? { "/cluster": yield* clusterRoute, "/autoscale": Effect.map(yield* autoscaleActor(membership.pauses), (steps) => json(200, { steps })) }
            : {}
        })
  const freeze = yield* watchTimeline
  yield* startActors(options, freeze).pipe(
    Effect.provideService(Pauses, membership.pauses),
    Effect.provideService(DoneHere, done),
    Effect.provideService(Freeze, freeze)
  )
  yield* membership.work
  return http
})

const startActors = Effect.fnUntraced(function* (options: GatewayOptions, freeze: FreezeView) {
  const { roles, worker, workConcurrency: concurrency, chain } = options
  const { chainId } = chain.contracts
  let recent: RecentRequests | undefined
  if (roles.has("coordinator")) {
    const decides = yield* coordinator(worker, yield* ownPartitions(worker))
    recent = decides.recent
    yield* followPartitions(decides)
    yield* sweeper(decides)
  }
  const gathered = yield* gatherOutcomes
  const onStep = <E, R>(step: Step, actor: Effect.Effect<unknown, E, R>) =>
    doesStep(roles, step)
      ? unlessPaused(`step:${step}`, actor).pipe(
          Effect.provideService(Gathered, gathered),
          recent === undefined ? identity : Effect.provideService(Recent, recent)
        )
      : Effect.void
  const beliefs = yield* nodeBeliefs
  yield* onStep("acl-checked", aclCheckedActor(concurrency))
  yield* onStep("ciphertext-fetched", ciphertextFetchedActor(concurrency))
  yield* onStep("shares-collected", sharesCollectedActor(concurrency, beliefs))
  yield* onStep("threshold-verified", thresholdVerifiedActor({ concurrency, beliefs, registry: chain.contracts.ciphertextRegistry }))
  yield* onStep("finalized", finalityActor(concurrency))
  if (roles.has("sender")) {
    const { startBlock } = chain.contracts
    const blocks = chain.rescan?.blocks ?? 0
    yield* reconcileActor({ owner: worker, rescan: blocks > 0 ? { worker, startBlock, blocks } : undefined, freeze })
    const bell = makeBell()
    yield* onStep("submitted", submitActor(concurrency, bell))
    const lanes = { owner: worker, bell, ...(chain.budget && { budget: chain.budget }) }
    for (const wallet of chain.lanes) yield* laneActor({ chainId, address: lower(wallet.address) }, lanes)
    yield* strayLanesActor(lanes)
    yield* laneHistoryActor({ owner: worker, ...chain.laneHistory })
  }
  if (roles.has("listener")) {
    const { startBlock } = chain.contracts
    yield* unlessPaused(`listener:${chainId}`, detectedActor({ worker, startBlock, pollMs: chain.pollMs }))
    const { rescan } = chain
    if (rescan !== undefined && rescan.blocks > 0) {
      yield* unlessPaused(`listener:${chainId}`, rescanActor({ worker, startBlock, ...rescan }))
    }
  }
})
