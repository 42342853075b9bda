/** Every verb there is, in the order in which `--list` shows them. */
import { alreadyKnown } from "./verbs/already-known.ts"
import { corruptCiphertext } from "./verbs/corrupt-ciphertext.ts"
import { delay } from "./verbs/delay.ts"
import { duplicate } from "./verbs/duplicate.ts"
import { equivocation } from "./verbs/equivocation.ts"
import { feeSpike } from "./verbs/fee-spike.ts"
import { fillDisk } from "./verbs/fill-disk.ts"
import { freeze } from "./verbs/freeze.ts"
import { halfOpen } from "./verbs/half-open.ts"
import { kill } from "./verbs/kill.ts"
import { kms5xx } from "./verbs/kms-5xx.ts"
import { kmsAmnesia } from "./verbs/kms-amnesia.ts"
import { kmsThrottle } from "./verbs/kms-throttle.ts"
import { kmsTimeout } from "./verbs/kms-timeout.ts"
import { lose } from "./verbs/lose.ts"
import { loseLaneKey } from "./verbs/lose-lane-key.ts"
import { malformedShare } from "./verbs/malformed-share.ts"
import { missingLogs } from "./verbs/missing-logs.ts"
import { nonceTooLow } from "./verbs/nonce-too-low.ts"
import { oversizedReply } from "./verbs/oversized-reply.ts"
import { partition } from "./verbs/partition.ts"
import { poison } from "./verbs/poison.ts"
import { promoteStandby } from "./verbs/promote-standby.ts"
import { rateLimit } from "./verbs/rate-limit.ts"
import { reorder } from "./verbs/reorder.ts"
import { reorg } from "./verbs/reorg.ts"
import { restart } from "./verbs/restart.ts"
import { restoreSnapshot } from "./verbs/restore-snapshot.ts"
import { rollBack } from "./verbs/roll-back.ts"
import { skewClock } from "./verbs/skew-clock.ts"
import { slowDrip } from "./verbs/slow-drip.ts"
import { staleRpc } from "./verbs/stale-rpc.ts"
import { stopImmediate } from "./verbs/stop-immediate.ts"
import { store404 } from "./verbs/store-404.ts"
import { store503 } from "./verbs/store-503.ts"
import { storeSlow } from "./verbs/store-slow.ts"
import { thaw } from "./verbs/thaw.ts"
import { wipe } from "./verbs/wipe.ts"
import { wrongShare } from "./verbs/wrong-share.ts"
import type { Verb } from "./verb.ts"

export const VERBS: ReadonlyArray<Verb> = [
  kill,
  restart,
  freeze,
  thaw,
  partition,
  delay,
  halfOpen,
  slowDrip,
  duplicate,
  reorder,
  lose,
  rollBack,
  wipe,
  poison,
  stopImmediate,
  promoteStandby,
  restoreSnapshot,
  fillDisk,
  skewClock,
  reorg,
  staleRpc,
  missingLogs,
  rateLimit,
  alreadyKnown,
  nonceTooLow,
  feeSpike,
  loseLaneKey,
  kmsThrottle,
  kmsTimeout,
  kms5xx,
  kmsAmnesia,
  wrongShare,
  equivocation,
  malformedShare,
  oversizedReply,
  corruptCiphertext,
  store404,
  store503,
  storeSlow
]

export const verbNamed = (name: string): Verb | undefined => VERBS.find((verb) => verb.name === name)
