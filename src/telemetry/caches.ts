/** Everything that a gateway remembers so as not to ask again, by the name under which it is counted (docs/resilience.md, "Caches"). */
export const CACHES = [
  "access-list",
  "access-list-blocks",
  "ciphertexts",
  "ciphertext-files",
  "committees",
  "registrations",
  "result-blocks"
] as const
export type CacheName = (typeof CACHES)[number]
