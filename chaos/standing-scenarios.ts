/** Every standing scenario, in the order in which `--list` shows them. */
import { badDay } from "./scenarios/bad-day.scenario.ts"
import { badNetwork } from "./scenarios/bad-network.scenario.ts"
import { clockJumps } from "./scenarios/clock-jumps.scenario.ts"
import { databaseAndWorkerDieTogether } from "./scenarios/database-and-worker-die-together.scenario.ts"
import { frozenCoordinator } from "./scenarios/frozen-coordinator.scenario.ts"
import { fullDisk } from "./scenarios/full-disk.scenario.ts"
import { halfOpenEverything } from "./scenarios/half-open-everything.scenario.ts"
import { kmsRegionOutage } from "./scenarios/kms-region-outage.scenario.ts"
import { laneKeyLost } from "./scenarios/lane-key-lost.scenario.ts"
import { moodyNodes } from "./scenarios/moody-nodes.scenario.ts"
import { natsLostEverything } from "./scenarios/nats-lost-everything.scenario.ts"
import { poisonedMessage } from "./scenarios/poisoned-message.scenario.ts"
import { rollingRestartUnderLoad } from "./scenarios/rolling-restart-under-load.scenario.ts"
import { rpcSaysNothingHappened } from "./scenarios/rpc-says-nothing-happened.scenario.ts"
import { slowStore } from "./scenarios/slow-store.scenario.ts"
import { snapshotRestored } from "./scenarios/snapshot-restored.scenario.ts"
import { staleStandbyPromoted } from "./scenarios/stale-standby-promoted.scenario.ts"
import { tMinusOneLiars } from "./scenarios/t-minus-one-liars.scenario.ts"
import { threeDeepReorgAfterSubmission } from "./scenarios/three-deep-reorg-after-submission.scenario.ts"
import { thunderingHerd } from "./scenarios/thundering-herd.scenario.ts"
import { zombieLeader } from "./scenarios/zombie-leader.scenario.ts"
import type { Scenario } from "./scenario.ts"

export const SCENARIOS: ReadonlyArray<Scenario> = [
  tMinusOneLiars,
  rollingRestartUnderLoad,
  databaseAndWorkerDieTogether,
  staleStandbyPromoted,
  snapshotRestored,
  natsLostEverything,
  zombieLeader,
  frozenCoordinator,
  threeDeepReorgAfterSubmission,
  rpcSaysNothingHappened,
  halfOpenEverything,
  badNetwork,
  kmsRegionOutage,
  moodyNodes,
  laneKeyLost,
  clockJumps,
  slowStore,
  poisonedMessage,
  thunderingHerd,
  fullDisk,
  badDay
]
