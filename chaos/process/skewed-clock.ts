/** Loaded into a process of the rig with --import, and never by the product: moves that process's idea of what time it is by as many
 * milliseconds as the file named in CHAOS_CLOCK_FILE says, from the moment it says so. Monotonic clocks stay as they are. */
import { readFileSync, watchFile } from "node:fs"

const file = process.env["CHAOS_CLOCK_FILE"]
const LOOK_EVERY_MS = 200

if (file !== undefined) {
  let offsetMs = 0
  const read = () => {
    try {
      const read = Number(readFileSync(file, "utf8"))
      if (Number.isFinite(read)) offsetMs = read
    } catch {
      offsetMs = 0
    }
  }
  read()
  watchFile(file, { interval: LOOK_EVERY_MS, persistent: false }, read)
  const RealDate = Date
  const now = () => RealDate.now() + offsetMs
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, given, asked) => Reflect.construct(target, given.length === 0 ? [now()] : given, asked),
    apply: () => new RealDate(now()).toString(),
    get: (target, name) => (name === "now" ? now : Reflect.get(target, name))
  })
}
