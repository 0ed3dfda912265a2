// What this Carillon and its clients send each other. Generated: `carillon types ts`, or /types.d.ts of a server.
//
//   import { io, type Socket } from "socket.io-client";
//   import type { Emit, Listen } from "./types";
//   const monitoring: Socket<Listen<"/monitoring">, Emit<"/monitoring">> = io("http://127.0.0.1:8085/monitoring");

/** Why a call failed. */
export interface Failure {
  /** For programs. */
  code:
    | "bad_payload"
    | "unknown_event"
    | "not_found"
    | "unauthorized"
    | "forbidden"
    | "too_large"
    | "rate_limited"
    | "overloaded"
    | "timeout"
    | "unavailable"
    | "internal";
  /** For people. */
  message: string;
  /** Whether the same call may succeed later. */
  retryable: boolean;
  /** With `rate_limited`: in how many milliseconds it may be tried again. */
  retry_after_ms?: number;
  /** Finds the cause in the server's log. */
  id?: string;
}

/** What a call is answered with. */
export type Ack<T> = { ok: true; data: T } | Refused;

/** A call that failed. */
export type Refused = { ok: false; error: Failure };

/** What a namespace sends: the first type parameter of `Socket`. */
export type Listen<N extends keyof Namespaces> = Namespaces[N]["listen"];

/** What a namespace takes: the second type parameter of `Socket`. Use `emitWithAck`, or `emit` with a function at the end. */
export type Emit<N extends keyof Namespaces> = Namespaces[N]["emit"];

/** Every namespace. */
export interface Namespaces {
  "/": {
    listen: {
      /** Once, right after a client connected. */
      connection_confirmed: (...args: [payload: ConnectionConfirmed]) => void;
      /** A call without ack failed. */
      error: (...args: [payload: ErrorEvent]) => void;
      /** Each message of bus channel `celery:metrics`, as it was published. */
      redis_celery_metrics: (...args: [payload: unknown]) => void;
      /** Each message of bus channel `cluster:alerts`, as it was published. */
      redis_cluster_alerts: (...args: [payload: Alerts]) => void;
      /** Each message of bus channel `cluster:health`, as it was published. */
      redis_cluster_health: (...args: [payload: HealthUpdate]) => void;
      /** Each message of bus channel `cluster:metrics`, as it was published. */
      redis_cluster_metrics: (...args: [payload: Aggregate]) => void;
    };
    emit: {
    };
  };
  "/echo": {
    listen: {
      /** A call without ack failed. */
      error: (...args: [payload: ErrorEvent]) => void;
    };
    emit: {
      /** Answers with the same text. */
      say: (...args: [payload: Text, ack: (answer: Ack<Text>) => void]) => void;
    };
  };
  "/health": {
    listen: {
      /** A call without ack failed. */
      error: (...args: [payload: ErrorEvent]) => void;
      /** Once, right after a client connected. */
      health_connected: (...args: [payload: HealthConnected]) => void;
      /** Before the ack of `request_health`, to who asked. */
      health_response: (...args: [payload: HealthResponse]) => void;
      /**
       * After `health_connected` when something is known, then whenever the nodes were asked, or somebody asked `/api/health`.
       * Each message of bus channel `cluster:health`, as it was published.
       */
      health_update: (...args: [payload: HealthUpdate]) => void;
    };
    emit: {
      /** Answers with the state of the server and the cluster. */
      request_health: (...args: [payload: unknown, ack: (answer: Ack<HealthResponse>) => void]) => void;
    };
  };
  "/monitoring": {
    listen: {
      /**
       * Whenever the nodes were measured.
       * Each message of bus channel `cluster:alerts`, as it was published.
       */
      alerts_update: (...args: [payload: Alerts]) => void;
      /**
       * After `monitoring_connected` when something was measured, then whenever it was.
       * Each message of bus channel `cluster:metrics`, as it was published.
       */
      cluster_metrics: (...args: [payload: Aggregate]) => void;
      /** Before the ack of `request_cluster_status`, to who asked. */
      cluster_status_response: (...args: [payload: ClusterStatusResponse]) => void;
      /** A call without ack failed. */
      error: (...args: [payload: ErrorEvent]) => void;
      /** Once, right after a client connected. */
      monitoring_connected: (...args: [payload: MonitoringConnected]) => void;
      /** Before the ack of `request_nodes_status`, to who asked. */
      nodes_status_response: (...args: [payload: NodesStatusResponse]) => void;
      /** Before the ack of `subscribe_to_updates`, to who asked. */
      subscribed_to_updates: (...args: [payload: Subscribed]) => void;
    };
    emit: {
      /** Answers with the cluster at a glance. */
      request_cluster_status: (...args: [payload: unknown, ack: (answer: Ack<ClusterStatusResponse>) => void]) => void;
      /** Answers with every node. */
      request_nodes_status: (...args: [payload: unknown, ack: (answer: Ack<NodesStatusResponse>) => void]) => void;
      /** Puts the client into the room `updates`. */
      subscribe_to_updates: (...args: [payload: unknown, ack: (answer: Ack<Subscribed>) => void]) => void;
    };
  };
  "/router": {
    listen: {
      /** A call without ack failed. */
      error: (...args: [payload: ErrorEvent]) => void;
      /** Once a second, to the clients of this node that asked for it. */
      event_counts: (...args: [payload: EventCounts]) => void;
      /** Once a second, to the clients of this node. */
      router_state: (...args: [payload: RouterState]) => void;
      /** Every five seconds from each Carillon on the bus, to the clients of all. */
      server_state: (...args: [payload: ServerState]) => void;
    };
    emit: {
      /** Answers with the last 15 minutes. */
      request_history: (...args: [payload: unknown, ack: (answer: Ack<History>) => void]) => void;
      /** Answers with the last 15 minutes of one node of the cluster. */
      request_node_history: (...args: [payload: NodeRequest, ack: (answer: Ack<UseHistory>) => void]) => void;
      /** Has `event_counts` sent to the client from now on. */
      watch_events: (...args: [payload: unknown, ack: (answer: Ack<null>) => void]) => void;
    };
  };
}

/** `cluster_metrics`: what was measured on all nodes in one round. */
export type Aggregate = {
  /** All of them together. */
  cluster_stats: ClusterStats;
  /** The nodes that answered, by name; every node in a list where the HTTP route for nodes published them. */
  nodes: Record<string, Metrics> | Array<Node>;
  /** When, RFC 3339 in UTC. */
  timestamp: string;
};

/** One thing that is too high. */
export type Alert = {
  /** What it is about: `high_cpu_avg`, `high_memory_avg`, `high_temp_<node>`. */
  id: string;
  /** The alert, for people. */
  message: string;
  /** How bad it is. */
  type: Severity;
};

/** `alerts_update`: everything that is too high now. */
export type Alerts = {
  /** The alerts that hold now. */
  active_alerts: Array<Alert>;
  /** How many there are. */
  alert_count: number;
  /** When, RFC 3339 in UTC. */
  timestamp: string;
};

/** What connects the server to other programs. */
export type BusReport = {
  /** Its kind, such as `memory` or `redis`. */
  kind: string;
  /** Whether messages get through. */
  up: boolean;
};

/** What connects the router to other programs. */
export type BusState = {
  /** What to tell an operator. */
  detail: string;
  /** Its kind, such as `memory` or `redis`. */
  kind: string;
  /** Whether messages get through. */
  up: boolean;
};

/** How the cluster is. */
export type ClusterHealth = {
  /** What is wrong, for people. */
  issues: Array<string>;
  /** Nodes that answer. */
  nodes_online: number;
  /** All nodes. */
  nodes_total: number;
  /** In a word; `unknown` when there are nodes and nobody has measured them lately. */
  overall_status: Status;
};

/** How the cluster is, by the number of its nodes. */
export type ClusterReport = {
  /** Nodes that do not answer. */
  nodes_down: number;
  /** Nodes that answer. */
  nodes_online: number;
  /** All nodes. */
  nodes_total: number;
  /** In a word; `unknown` while the bus is away. */
  overall_status: Status;
};

/** All nodes together. */
export type ClusterStats = {
  /** The mean CPU use of those, in percent. */
  avg_cpu: number;
  /** Their mean memory use, in percent. */
  avg_memory: number;
  /** The mean temperature of those that measure it, in degrees Celsius; null when none does. */
  avg_temperature?: number | null;
  /** How many of them answered. */
  online_nodes: number;
  /** How many nodes there are. */
  total_nodes: number;
};

/** `cluster_status_response`: the answer to `request_cluster_status`. */
export type ClusterStatusResponse = {
  /** The cluster at a glance. */
  data: Overview;
  /** When this was sent, RFC 3339 in UTC. */
  timestamp: string;
};

/** `connection_confirmed`: the client is connected. */
export type ConnectionConfirmed = {
  /** The client's public id. */
  sid: string;
  /** When, RFC 3339 in UTC. */
  timestamp: string;
};

/** Who is connected to the server. */
export type Connections = {
  /** Connections, each counted once. */
  connected_clients: number;
  /** Clients of each namespace; one connection may be in several. */
  namespaces: Record<string, number>;
};

/** An object without fields, where the original system has one. */
export type Empty = Record<string, unknown>;

/** `error`: a call without ack failed. */
export type ErrorEvent = {
  /** The code, as in the ack's envelope. */
  code: string;
  /** The event that failed; missing when it was none. */
  event?: string | null;
  /** What went wrong, for a person. */
  message: string;
  /** For `rate_limited`: in how many milliseconds it may be tried again. */
  retry_after_ms?: number | null;
  /** When, RFC 3339 in UTC. */
  timestamp: string;
};

/** How often one event came and went. */
export type EventCount = {
  /** The event; `_other` for all that nobody declared. */
  event: string;
  /** Times its handler did not answer as it should: refused, failed, late. */
  failed: number;
  /** The namespace. */
  namespace: string;
  /** Times a client sent it. */
  received: number;
  /** Copies of it that were sent to clients. */
  sent: number;
};

/** `event_counts`: how often each event came and went since this process began. */
export type EventCounts = {
  /** Every event that was seen, namespace by namespace. */
  events: Array<EventCount>;
  /** When they were read, RFC 3339 in UTC. */
  timestamp: string;
};

/** `health_connected`: the client is connected. */
export type HealthConnected = {
  /** The namespace it is connected to. */
  namespace: string;
  /** When, RFC 3339 in UTC. */
  timestamp: string;
};

/** `health_response`: the answer to `request_health`. */
export type HealthResponse = {
  /** How things are. */
  data: Report;
  /** When this was sent, RFC 3339 in UTC. */
  timestamp: string;
};

/** `health_update`: how the cluster is. */
export type HealthUpdate = {
  /** What is wrong, for people. */
  issues: Array<string>;
  /** Nodes that answer. */
  nodes_online: number;
  /** All nodes. */
  nodes_total: number;
  /** In a word. */
  overall_status: Status;
  /** When this was said, RFC 3339 in UTC. */
  timestamp: string;
};

/** The answer to `request_history`: the last 15 minutes, oldest first, in columns of equal length. */
export type History = {
  /** The means over the nodes of the cluster, each time they were measured. */
  cluster: UseHistory;
  /** When each node of the cluster was measured last, in milliseconds since 1970. */
  nodes: Record<string, number>;
  /** The router, second by second. */
  router: RouterHistory;
};

/** What was measured on one node. Percentages go from 0 to 100. */
export type Metrics = {
  /** CPU time in use since the last measurement, over all cores, in percent. */
  cpu_usage: number;
  /** What is free there, in bytes. */
  disk_available: number;
  /** The size of the file system at `/`, in bytes. */
  disk_total: number;
  /** Disk space in use, in percent. */
  disk_usage: number;
  /** Memory that new programs could have, in bytes. */
  memory_available: number;
  /** Memory, in bytes. */
  memory_total: number;
  /** Memory in use, in percent. */
  memory_usage: number;
  /** In degrees Celsius; null where nothing measures it. */
  temperature?: number | null;
};

/** `monitoring_connected`: the client is connected. */
export type MonitoringConnected = {
  /** The namespace it is connected to. */
  namespace: string;
  /** When, RFC 3339 in UTC. */
  timestamp: string;
};

/** The clients of one namespace. */
export type NamespaceClients = {
  /** The namespace. */
  namespace: string;
  /** Clients that poll. */
  polling: number;
  /** Clients on a WebSocket. */
  websocket: number;
};

/** One node, as lists show it. */
export type Node = {
  /** Always 0. */
  active_jobs: number;
  /** What it is there for; always the same. */
  capabilities: Array<string>;
  /** CPU time in use, in percent; 0 when it does not answer. */
  cpu_usage: number;
  /** Disk space in use, in percent; 0 when it does not answer. */
  disk_usage: number;
  /** True when it answers. */
  is_healthy: boolean;
  /** When it was measured last; null when it does not answer. */
  last_update?: string | null;
  /** Memory in use, in percent; 0 when it does not answer. */
  memory_usage: number;
  /** Its name. */
  node: string;
  /** Always the same. */
  performance_score: number;
  /** Whether it answers. */
  status: NodeStatus;
  /** Always 0. */
  success_rate: number;
  /** In degrees Celsius; null where nothing measures it, 0 when the node does not answer. */
  temperature?: number | null;
  /** Always 0. */
  total_jobs: number;
};

/** Which node is asked for. */
export type NodeRequest = {
  /** Its name. */
  name: string;
};

/** Whether a node answers. */
export type NodeStatus = "ready" | "unknown";

/** `nodes_status_response`: the answer to `request_nodes_status`. */
export type NodesStatusResponse = {
  /** Every node. */
  data: Array<Node>;
  /** When this was sent, RFC 3339 in UTC. */
  timestamp: string;
};

/** The cluster at a glance. */
export type Overview = {
  /** In numbers. */
  cluster_stats: OverviewStats;
  /** Always empty. */
  dispatch_stats: Empty;
  /** Always empty. */
  health_status: Empty;
  /** The parts of the original system; always online. */
  services_status: Services;
  /** In a word; `unknown` before anything was measured. */
  status: Status;
  /** Always empty. */
  task_stats: Empty;
  /** When the nodes were measured last, else now. */
  timestamp: string;
  /** Always empty. */
  worker_stats: Empty;
};

/** The cluster in numbers. */
export type OverviewStats = {
  /** The mean CPU use of those that answer, in percent, with one decimal. */
  cpu_usage_avg: number;
  /** Their mean use of disk space, in percent, with one decimal. */
  disk_usage_avg: number;
  /** Those that do not. */
  down_nodes: number;
  /** When this was put together, RFC 3339 in UTC. */
  last_check: string;
  /** Their mean memory use, in percent, with one decimal. */
  memory_usage_avg: number;
  /** Those that answer. */
  ready_nodes: number;
  /** All nodes. */
  total_nodes: number;
};

/** One plugin. */
export type PluginState = {
  /** Its name. */
  name: string;
  /** How often its background work was started again. */
  restarts: number;
  /** Whether its background work runs or ended well; else it failed and is about to be started again. */
  up: boolean;
};

/** What waits in the router. */
export type Queues = {
  /** Their bytes. */
  bytes: number;
  /** Handlers that run now. */
  handlers: number;
  /** Publishes that wait to be sent to this node's clients. */
  publishes: number;
};

/** How the server and the cluster are. */
export type Report = {
  /** How the cluster is. */
  cluster: ClusterReport;
  /** How the server itself is. */
  status: ServerStatus;
  /** When this was found out, RFC 3339 in UTC. */
  timestamp: string;
  /** The server's version. */
  version: string;
};

/** The router, second by second; place by place the columns belong together. */
export type RouterHistory = {
  /** Connections. */
  connections: Array<number>;
  /** Copies that reached a client's transport, a second. */
  deliveries: Array<number>;
  /** Events received from clients, a second. */
  events_in: Array<number>;
  /** The mean time from a publish to its last delivery, in milliseconds; null when nothing was published. */
  fanout_ms: Array<number | null>;
  /** Copies lost with clients that did not read fast enough, a second. */
  lost: Array<number>;
  /** When, in milliseconds since 1970. */
  time: Array<number>;
};

/** `router_state`: what the router does. Rates are those since the last look, a second ago. */
export type RouterState = {
  /** What connects the router to other programs. */
  bus: BusState;
  /** Who is connected, namespace by namespace. */
  clients: Array<NamespaceClients>;
  /** Connections, each counted once however many namespaces it is in. */
  connections: number;
  /** Published copies that reached a client's transport, a second. */
  deliveries: number;
  /** Events received from clients, a second. */
  events_in: number;
  /** The mean time from a publish to its last delivery, in milliseconds; null when nothing was published. */
  fanout_ms?: number | null;
  /** Published copies lost with clients that did not read fast enough, a second. */
  lost: number;
  /** Every plugin that is enabled. */
  plugins: Array<PluginState>;
  /** What waits. */
  queues: Queues;
  /** Clients that do not keep up. */
  slow: Slow;
  /** When this process began, RFC 3339 in UTC. */
  started: string;
  /** How the router is, in a word. */
  status: Word;
  /** When this was found out, RFC 3339 in UTC. */
  timestamp: string;
  /** Carillon's version. */
  version: string;
};

/** `GET /api/health`: how the server is. */
export type ServerHealth = {
  /** What connects it to other programs. */
  bus: BusReport;
  /** In a word. */
  status: ServerStatus;
  /** When this was found out, RFC 3339 in UTC. */
  timestamp: string;
  /** The server's version. */
  version: string;
  /** Who is connected to it. */
  websocket: Connections;
};

/** `server_state`: one of the Carillons on the bus. */
export type ServerState = {
  /** Its connections. */
  connections: number;
  /** Published copies that reached its clients' transports, a second. */
  deliveries: number;
  /** Events it received from clients, a second. */
  events_in: number;
  /** The machine it runs on. */
  host: string;
  /** Tells it from all others until it is started again. */
  id: string;
  /** Published copies lost with clients that did not read fast enough, a second. */
  lost: number;
  /** Its process there. */
  pid: number;
  /** When it began, RFC 3339 in UTC. */
  started: string;
  /** How it is, in a word. */
  status: Word;
  /** Its version. */
  version: string;
};

/** How the server itself is. */
export type ServerStatus = "healthy" | "degraded" | "unhealthy";

/** The parts of the original system. */
export type Services = {
  /** Always online. */
  cluster_controller: string;
  /** Always online. */
  monitoring: string;
  /** Always online. */
  scheduler: string;
  /** Always online. */
  scraper: string;
};

/** How bad an alert is. */
export type Severity = "warning" | "critical";

/** Clients that do not keep up, since this process began. */
export type Slow = {
  /** Clients that were closed because they did not read fast enough. */
  closed: number;
  /** Copies lost with them. */
  lost: number;
  /** Times a client was not read from because its events came faster than they were handled. */
  read_pauses: number;
};

/** How the cluster is, in a word. */
export type Status = "healthy" | "warning" | "critical" | "unknown";

/** `subscribed_to_updates`: the answer to `subscribe_to_updates`. */
export type Subscribed = {
  /** The events it will be sent. */
  events: Array<string>;
  /** The room the client is in now. */
  room: string;
  /** When, RFC 3339 in UTC. */
  timestamp: string;
};

export type Text = {
  /** What to repeat. */
  text: string;
};

/** What was in use, round by round; place by place the columns belong together. */
export type UseHistory = {
  /** CPU use, in percent. */
  cpu: Array<number | null>;
  /** Use of disk space, in percent. */
  disk: Array<number | null>;
  /** Memory use, in percent. */
  memory: Array<number | null>;
  /** The temperature, in degrees Celsius; null where nothing measures it. */
  temperature: Array<number | null>;
  /** When, in milliseconds since 1970. */
  time: Array<number>;
};

/** How the router is. */
export type Word = "ready" | "degraded" | "unready";
