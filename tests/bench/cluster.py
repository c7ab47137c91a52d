class Cluster: pass
