/** What somebody changes about services of the compose file before running them, like a compose override, but one that says why, and that
 * refuses to replace what the file does not have: an overlay that has drifted from the file is noticed. */
import type { Mount, Service } from "./compose-file.ts"

export interface Change {
  /** Services by name. */
  readonly services: ReadonlyArray<string>
  readonly why: string
  /** Values of settings that the file gives. */
  readonly replaces?: Readonly<Record<string, string>>
  /** Settings that the file does not give. */
  readonly adds?: Readonly<Record<string, string>>
  /** What stands after a word of the command, by that word: `--block-time`. */
  readonly replacesAfter?: Readonly<Record<string, string>>
  /** At the end of the command. */
  readonly addsWords?: ReadonlyArray<string>
  /** A volume of the service's own, seen at this path. */
  readonly addsVolumeAt?: string
}

/** The overlay speaks of something that the compose file does not say. */
export class OverlayRejected extends TypeError {
  constructor(service: string, what: string) {
    super(`the overlay over docker-compose.yml: ${service}: ${what}`)
  }
}

export const overlaid = (services: ReadonlyMap<string, Service>, changes: ReadonlyArray<Change>): ReadonlyMap<string, Service> => {
  const changed = new Map(services)
  for (const change of changes) {
    for (const name of change.services) {
      const service = changed.get(name)
      if (service === undefined) throw new OverlayRejected(name, "there is no such service")
      changed.set(name, changedBy(service, change))
    }
  }
  return changed
}

const changedBy = (service: Service, { replaces = {}, adds = {}, replacesAfter = {}, addsWords = [], addsVolumeAt }: Change): Service => {
  const { name, environment } = service
  for (const setting of Object.keys(replaces)) if (!(setting in environment)) throw new OverlayRejected(name, `${setting} is replaced, and is not set`)
  for (const setting of Object.keys(adds)) if (setting in environment) throw new OverlayRejected(name, `${setting} is added, and is set already`)
  const command = [...service.command]
  for (const [word, value] of Object.entries(replacesAfter)) {
    const at = command.indexOf(word)
    if (at < 0 || at === command.length - 1) throw new OverlayRejected(name, `what stands after ${word} is replaced, and nothing does`)
    command[at + 1] = value
  }
  return {
    ...service,
    environment: { ...environment, ...replaces, ...adds },
    command: [...command, ...addsWords],
    mounts: addsVolumeAt === undefined ? service.mounts : [...service.mounts, volumeOf(service, addsVolumeAt)]
  }
}

const volumeOf = ({ name }: Service, target: string): Mount => ({
  source: `${name}${target.replaceAll("/", "-")}`,
  isVolume: true,
  subpath: "",
  target
})

/** One line for each change, for a report. */
export const overlayLines = (changes: ReadonlyArray<Change>): ReadonlyArray<string> =>
  changes.map(({ services, why, replaces = {}, adds = {}, replacesAfter = {}, addsWords = [], addsVolumeAt }) => {
    const what = [
      ...Object.entries(replaces).map(([name, value]) => `${name}: ${value}`),
      ...Object.entries(replacesAfter).map(([word, value]) => `${word} ${value}`),
      ...Object.entries(adds).map(([name, value]) => `+ ${name}: ${value}`),
      ...(addsWords.length === 0 ? [] : [`+ ${addsWords.join(" ")}`]),
      ...(addsVolumeAt === undefined ? [] : [`+ a volume at ${addsVolumeAt}`])
    ]
    return `${inShort(services)}: ${what.join("; ")} (${why})`
  })

/** `kms-1 to kms-4` for a family in a row. */
const inShort = (services: ReadonlyArray<string>): string => {
  const families = Map.groupBy(services, (name) => name.replace(/\d+$/, ""))
  return [...families.values()].map((names) => (names.length < 3 ? names.join(", ") : `${names[0]} to ${names.at(-1)}`)).join(", ")
}
