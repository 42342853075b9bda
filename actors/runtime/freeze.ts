/** Whether lanes must stand still because the database is in another history than the one that was compared with the chain; looked at once for the
 * whole process (failover.actor.ts). Only a belief: what stores signed bytes asks the database itself. Where nobody provides it, nothing is frozen. */
import { Context } from "effect"

export interface FreezeView {
  readonly isFrozen: () => boolean
}

export const Freeze: Context.Reference<FreezeView> = Context.Reference("portcullis/actors/Freeze", {
  defaultValue: (): FreezeView => ({ isFrozen: () => false })
})
