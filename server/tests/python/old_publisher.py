"""Publishes one round as the Celery worker of the original system did: `old_publisher.py PORT TEMPERATURE`.

Nothing in it knows of Carillon: `redis.publish("cluster:metrics", json.dumps(...))` is all a publisher ever did.
"""

import json
import sys
from datetime import datetime

import redis

port, temperature = int(sys.argv[1]), float(sys.argv[2])
redis = redis.Redis(host="127.0.0.1", port=port, db=2, decode_responses=True)

# Naive UTC, as the worker wrote it.
timestamp = datetime.utcnow().isoformat()
node = {
    "memory_total": 4000000000.0,
    "memory_available": 3000000000.0,
    "disk_total": 30000000000.0,
    "disk_available": 20000000000.0,
    "temperature": temperature,
    "cpu_usage": 12.5,
    "memory_usage": 25.0,
    "disk_usage": 33.3,
}
metrics = {
    "timestamp": timestamp,
    "nodes": {"node6.lan": node},
    "cluster_stats": {
        "total_nodes": 8,
        "online_nodes": 7,
        "avg_cpu": 12.5,
        "avg_memory": 25.0,
        "avg_temperature": temperature,
    },
}
health = {
    "timestamp": timestamp,
    "overall_status": "warning",
    "nodes_online": 7,
    "nodes_total": 8,
    "issues": ["1 nœuds hors ligne"],
}
hot = {
    "id": "high_temp_node6.lan",
    "type": "critical",
    "message": f"node6.lan: Température élevée ({temperature:.1f}°C)",
}
alerts = {"timestamp": timestamp, "active_alerts": [hot], "alert_count": 1}

redis.setex("cluster:metrics", 300, json.dumps(metrics))
redis.publish("cluster:metrics", json.dumps(metrics))
redis.publish("cluster:health", json.dumps(health))
redis.publish("cluster:alerts", json.dumps(alerts))
redis.publish("celery:metrics", json.dumps({"timestamp": timestamp, "workers": 1}))
