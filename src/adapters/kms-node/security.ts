/**
 * How a channel between gateway and node is protected. Mutual TLS, or plain text when somebody wrote `insecure: true` and meant
 * it.
 */
import { checkServerIdentity } from "node:tls"
import { ChannelCredentials, ServerCredentials } from "@grpc/grpc-js"

export interface MutualTls {
  /** PEM: the authority that signed the other side's certificate. */
  readonly authority: string
  /** PEM: our own certificate (chain) and its private key. */
  readonly certificate: string
  readonly privateKey: string
}

export type Security = { readonly mutualTls: MutualTls } | { readonly insecure: true }

const isMutual = (security: Security): security is { readonly mutualTls: MutualTls } => "mutualTls" in security

/** A caller without a certificate of the authority does not get past the handshake. */
export const serverCredentials = (security: Security): ServerCredentials =>
  isMutual(security)
    ? ServerCredentials.createSsl(
        Buffer.from(security.mutualTls.authority),
        [{ private_key: Buffer.from(security.mutualTls.privateKey), cert_chain: Buffer.from(security.mutualTls.certificate) }],
        true
      )
    : ServerCredentials.createInsecure()

/**
 * `address`: the IP address that the other side's certificate has to be for. Needed because an address cannot stand as a server
 * name in the handshake (RFC 6066 section 3), so grpc-js has to be given some other name there, and would check the certificate
 * against that.
 */
export const channelCredentials = (security: Security, address?: string): ChannelCredentials =>
  isMutual(security)
    ? ChannelCredentials.createSsl(
        Buffer.from(security.mutualTls.authority),
        Buffer.from(security.mutualTls.privateKey),
        Buffer.from(security.mutualTls.certificate),
        address === undefined ? {} : { checkServerIdentity: (_, certificate) => checkServerIdentity(address, certificate) }
      )
    : ChannelCredentials.createInsecure()
