/** Requests of every kind, with how each may end: allowed, not allowed, allowed until it is taken back, in a hurry. */
import type { Expected, SimWorld } from "./sim-world.ts"

/** Seconds from now: some are over before anybody could answer. */
const HURRY_SECONDS = [8, 60] as const
const REVOKED_AFTER_MS = [500, 10_000] as const
/** Where a node has lied and the others see the permission gone, there are neither k answers nor enough refusals: such a request waits until
 * its deadline. */
const LENT_SECONDS = 180

export const anyRequest = (world: SimWorld): Expected => {
  const { users } = world
  const kind = users.fraction()
  const [closed, ...lent] = world.closedHandles
  if (kind < 0.1) return { ...world.aRequest({ handles: [closed!] }), mayEnd: ["refused"] }
  if (kind < 0.2) {
    const deadline = Math.floor(world.loop.nowMs / 1_000) + users.between(...HURRY_SECONDS)
    return { ...world.aRequest({ deadline }), mayEnd: ["finalized", "expired"] }
  }
  if (kind < 0.3) {
    const handle = users.pick(lent)
    const deadline = Math.floor(world.loop.nowMs / 1_000) + LENT_SECONDS
    const asked = world.aRequest({ handles: [handle], deadline })
    const key = asked.facts.kind === "public" ? `public ${handle}` : `${asked.facts.account} ${handle}`
    world.chain.send({ type: "permit", key, isAllowed: true })
    world.loop.after(world.process, users.between(...REVOKED_AFTER_MS), () => world.chain.send({ type: "permit", key, isAllowed: false }))
    return { ...asked, mayEnd: ["finalized", "refused", "expired"] }
  }
  return world.aRequest()
}
