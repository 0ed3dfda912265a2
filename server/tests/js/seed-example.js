// Connexion au namespace principal
const socket = io('http://localhost:8085');

// Écouter les événements Redis
socket.on('redis_cluster_metrics', (data) => {
    console.log('Métriques du cluster:', data);
});

// Se connecter au namespace health
const healthSocket = io('http://localhost:8085/health');
healthSocket.emit('request_health', {});

// Se connecter au namespace monitoring
const monitoringSocket = io('http://localhost:8085/monitoring');
monitoringSocket.emit('request_nodes_status', {});
