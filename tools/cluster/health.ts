/** The health check of a service, as the compose file writes it, until it says yes. It is asked more often than a container engine would: a
 * cluster that is up is not to wait for the clock. */
import { execFile } from "node:child_process"
import { setTimeout as pause } from "node:timers/promises"
import type { Plan } from "./as-processes.ts"
import { programWords, surroundings } from "./programs.ts"

const HEALTHY_MS_MAX = 120_000
/** The file's timeout is for a service that has cores of its own; here all services start at once on those of one machine. */
const PATIENCE = 5
const ASK_EVERY_MS = 500

/** A service is up and says that it is not well. */
export class ServiceNotHealthy extends Error {
  constructor(service: string, says: string) {
    super(`${service}: its health check has not said yes in ${HEALTHY_MS_MAX / 1_000} s: ${says}`)
  }
}

/** Answers at once for a service that has no health check. */
export const untilHealthy = async ({ service, health, environment }: Plan): Promise<void> => {
  if (service.health === undefined || health === undefined) return
  const [command = "", ...words] = programWords(health)
  const ask = (timeout: number) =>
    new Promise<string | undefined>((resolve) =>
      execFile(command, words, { timeout, env: { ...surroundings(), ...environment } }, (error, _, complaint) =>
        resolve(error === null ? undefined : complaint.trim() || error.message)
      )
    )
  const until = performance.now() + HEALTHY_MS_MAX
  for (;;) {
    const complaint = await ask(service.health.timeoutMs * PATIENCE)
    if (complaint === undefined) return
    if (performance.now() > until) throw new ServiceNotHealthy(service.name, complaint)
    await pause(ASK_EVERY_MS)
  }
}
