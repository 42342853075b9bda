/** Requests of every kind, with how each may end: allowed, not allowed, allowed until it is taken back, in a hurry. */
import type { Expected, SimWorld } from "./sim-world.ts"

/** Seconds from now: some are over before anybody could answer. */
const HURRY_SECONDS = [8, 60] as const
const REVOKED_AFTER_MS = [500, 10_000] as const

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
    const asked = world.aRequest({ handles: [handle] })
    const key = asked.facts.kind === "public" ? `public ${handle}` : `${asked.facts.account} ${handle}`
    world.chain.send({ type: "permit", key, isAllowed: true })
    world.loop.after(world.process, users.between(...REVOKED_AFTER_MS), () => world.chain.send({ type: "permit", key, isAllowed: false }))
    return { ...asked, mayEnd: ["finalized", "refused"] }
  }
  return world.aRequest()
}
