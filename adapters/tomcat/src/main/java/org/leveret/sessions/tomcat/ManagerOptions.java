package org.leveret.sessions.tomcat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

import org.apache.catalina.session.ManagerBase;

/** The attributes of the element {@code <Manager>}, and the figures that JMX shows beside them. */
abstract class ManagerOptions extends ManagerBase {
    private final Figures figures = new Figures();

    private String url;
    private String nodeList;
    private String user;
    private String passwordFile;
    private int database = -1;
    private String prefix = "tomcat";
    private String javaClasses;
    private String unknownClass = "refuse";
    private int timeoutMs = 4_500;

    /** Where the cluster is, and who this application is there. */
    record Cluster(List<Address> addresses, Node.Login login) {
    }

    abstract Nodes nodes();

    Figures figures() {
        return figures;
    }

    Cluster cluster() throws IOException {
        Address.Url parsed = url == null ? new Address.Url(Address.parseList(nodeList == null ? "" : nodeList), null, null, 0)
                : Address.Url.parse(url);
        if (parsed.nodes().isEmpty()) {
            throw new IllegalArgumentException("LeveretManager needs nodes=\"host:port,host:port\"");
        }
        String password = passwordFile == null ? parsed.password() : Files.readString(Path.of(passwordFile)).lines().findFirst().orElse("");
        Node.Login login = new Node.Login(user == null ? parsed.user() : user, password, database < 0 ? parsed.database() : database);
        return new Cluster(parsed.nodes(), login);
    }

    /** @return the nodes, with the password hidden */
    public String getUrl() {
        return url == null ? null : url.replaceFirst("://.*@", "://…@");
    }

    /** @param url {@code redis://[[user]:password@]host:port[,host:port...][/database]}, in place of the other attributes */
    public void setUrl(String url) {
        this.url = url;
    }

    /** @return the nodes that were configured */
    public String getNodes() {
        return nodeList;
    }

    /** @param nodes {@code host:port}, with commas between; the first one that is well is asked, so name the nearest first */
    public void setNodes(String nodes) {
        nodeList = nodes;
    }

    /** @return the user of the broker */
    public String getUser() {
        return user;
    }

    /** @param user {@code user} or {@code vhost:user}; none: a peer on the same machine is guest */
    public void setUser(String user) {
        this.user = user;
    }

    /** @return the file that has the password */
    public String getPasswordFile() {
        return passwordFile;
    }

    /** @param passwordFile a file whose first line is the password */
    public void setPasswordFile(String passwordFile) {
        this.passwordFile = passwordFile;
    }

    /** @return 0 to 15 */
    public int getDatabase() {
        return Math.max(0, database);
    }

    /** @param database 0 to 15 */
    public void setDatabase(int database) {
        this.database = database;
    }

    /** @return what keys begin with */
    public String getPrefix() {
        return prefix;
    }

    /** @param prefix what keys begin with, before the name of the context; for several hosts with contexts of one name */
    public void setPrefix(String prefix) {
        this.prefix = prefix;
    }

    /** @return classes that travel by Java serialisation */
    public String getJavaClasses() {
        return javaClasses;
    }

    /** @param javaClasses class names, {@code package.*} or {@code package.**}, with commas between */
    public void setJavaClasses(String javaClasses) {
        this.javaClasses = javaClasses;
    }

    /** @return {@code refuse} or {@code local} */
    public String getUnknownClass() {
        return unknownClass;
    }

    /** @param unknownClass {@code refuse}: setAttribute throws for a class that does not travel; {@code local}: it stays in this JVM */
    public void setUnknownClass(String unknownClass) {
        if (!unknownClass.equals("refuse") && !unknownClass.equals("local")) {
            throw new IllegalArgumentException("unknownClass is refuse or local, not " + unknownClass);
        }
        this.unknownClass = unknownClass;
    }

    /** @return ms */
    public int getTimeout() {
        return timeoutMs;
    }

    /** @param timeout ms that a command may take, whichever nodes die meanwhile; the cluster itself gives up after 4,000 */
    public void setTimeout(int timeout) {
        timeoutMs = timeout;
    }

    // ---- figures, which JMX shows as attributes of Catalina:type=Manager

    /** @return sessions that were asked for in the cluster */
    public long getLoads() {
        return figures.loads.sum();
    }

    /** @return loads that found the copy of this JVM up to date */
    public long getUnchangedLoads() {
        return figures.unchangedLoads.sum();
    }

    /** @return loads of sessions that are not there: wrong ids, and ended sessions */
    public long getMissing() {
        return figures.missing.sum();
    }

    /** @return commits that were sent */
    public long getCommits() {
        return figures.commits.sum();
    }

    /** @return bytes of these commits */
    public long getCommitBytes() {
        return figures.commitBytes.sum();
    }

    /** @return attributes that a commit changed although another request had changed them meanwhile */
    public long getConflicts() {
        return figures.conflicts.sum();
    }

    /** @return changes that were dropped because the session had ended meanwhile */
    public long getLateWritesDropped() {
        return figures.lateWritesDropped.sum();
    }

    /** @return requests that ended with 503 because no node could say, or with 500 because the cluster refused a commit */
    public long getFailedRequests() {
        return figures.failedRequests.sum();
    }

    /** @return attributes that could not be read */
    public long getRefusedValues() {
        return figures.refusedValues.sum();
    }

    /** @return commands that a second node was asked, because the first was slow or gone */
    public long getSecondAsked() {
        return nodes() == null ? 0 : nodes().secondAsked.sum();
    }

    /** @return nodes to which a connection is open */
    public String getConnectedNodes() {
        return nodes() == null ? "" : nodes().all().stream().filter(Node::isConnected).map(Node::name).collect(Collectors.joining(","));
    }
}
